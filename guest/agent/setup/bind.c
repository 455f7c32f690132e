#include "setup/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/rooted.h"
#include "lib/failure.h"
#include "lib/overlay.h"

enum { EMPTY_PATHS = 0x04 | 0x40 /* MOVE_MOUNT_{F,T}_EMPTY_PATH */ };

/* The mount becomes read-only before it is attached: namespaces that follow the root's mounts copy it as it is then. */
static int bind_read_only(int source, int target) {
  const uint64_t attributes[4] = {1 /* MOUNT_ATTR_RDONLY */};
  int tree = (int)syscall(SYS_open_tree, source, "", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC | AT_EMPTY_PATH);
  int result = tree < 0 ? -1 : (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, attributes, sizeof attributes);
  result = result != 0 ? -1 : (int)syscall(SYS_move_mount, tree, "", target, "", EMPTY_PATHS);
  if (tree >= 0) {
    int error = errno;
    close(tree);
    errno = error;
  }
  return result;
}

int bind_at(int root, const char *path, bool read_only, int source) {
  struct stat st;
  char from[FD_PATH], to[FD_PATH];
  if (fstat(source, &st) != 0) {
    return fail(REASON_MOUNT, "%s: %s", path, strerror(errno));
  }
  int target = rooted_make(root, path, S_ISDIR(st.st_mode), S_ISDIR(st.st_mode) ? 0755 : 0644, remember_created);
  if (target < 0) {
    return fail(REASON_MOUNT, "making the mount point %s: %s", path, strerror(errno));
  }
  int result = read_only ? bind_read_only(source, target) : mount(fd_path(source, from), fd_path(target, to), NULL, MS_BIND, NULL);
  close(target);
  return result == 0 ? 0 : fail(REASON_MOUNT, "mounting %s: %s", path, strerror(errno));
}

int move_into(int tree, int mnt_ns, const char *path) {
  if (setns(mnt_ns, CLONE_NEWNS) != 0) {
    return fail(REASON_MOUNT, "%s: %s", path, strerror(errno));
  }
  int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), place = rooted_make(root, path, false, 0644, remember_created);
  int result = place < 0 ? -1 : (int)syscall(SYS_move_mount, tree, "", place, "", EMPTY_PATHS);
  return result == 0 ? 0 : fail(REASON_MOUNT, "%s: %s", path, strerror(errno));
}
