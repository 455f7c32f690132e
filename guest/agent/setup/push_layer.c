#include "setup/push_layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/remove.h"
#include "fs/rooted.h"
#include "fs/tar_read.h"
#include "lib/failure.h"
#include "lib/files.h"
#include "lib/host_test.h"
#include "lib/overlay.h"
#include "lib/paths.h"
#include "setup/root.h"

#define NEW_ROOT PRIVATE "/newroot"

/* "\040" of /proc/mounts is a blank. */
static void unescape(char *text) {
  char *out = text;
  for (const char *at = text; *at != 0;) {
    unsigned value;
    if (at[0] == '\\' && sscanf(at + 1, "%3o", &value) == 1) {
      *out++ = (char)value;
      at += 4;
    } else {
      *out++ = *at++;
    }
  }
  *out = 0;
}

/* The first mount below the root, in the order of mounting. */
static bool find_mount(char *target, size_t size) {
  FILE *mounts = fopen("/proc/self/mounts", "re");
  char line[4400], path[4096];
  bool found = false;
  while (mounts != NULL && !found && fgets(line, sizeof line, mounts) != NULL) {
    found = sscanf(line, "%*s %4095s", path) == 1 && strncmp(path, SYSROOT "/", strlen(SYSROOT "/")) == 0;
  }
  if (mounts != NULL) {
    fclose(mounts);
  }
  if (found) {
    unescape(path);
    snprintf(target, size, "%s", path);
  }
  return found;
}

/* A mount point that was made in a layer that goes is made again. */
static int make_place(const char *path) {
  struct stat st;
  char old[4200];
  snprintf(old, sizeof old, SYSROOT "%s", path);
  int root = open(NEW_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool directory = stat(old, &st) == 0 && S_ISDIR(st.st_mode);
  int place = root < 0 ? -1 : rooted_make(root, path, directory, directory ? 0755 : 0644, remember_created);
  int error = errno;
  close(root);
  if (place >= 0) {
    close(place);
  }
  errno = error;
  return place < 0 ? -1 : 0;
}

/* Moves what is mounted below the old root to the same places of the new one. A mount takes along what is mounted in
 * it, so the list is read again after each. */
static int move_mounts(void) {
  char target[4096], moved[4200];
  while (find_mount(target, sizeof target)) {
    const char *path = target + strlen(SYSROOT);
    snprintf(moved, sizeof moved, NEW_ROOT "%s", path);
    if (make_place(path) != 0 || mount(target, moved, NULL, MS_MOVE, NULL) != 0) {
      return fail(REASON_MACHINE, "moving the mount %s to the next layer: %s", path, strerror(errno));
    }
  }
  return 0;
}

/* What a step left in memory is not the next one's. */
static void empty_memory(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0) {
    empty_folder(fd);
    close(fd);
  }
}

/* Everything that is mounted stays so, over a root whose writable layer is a new one of that number. */
static int change_root(int top) {
  empty_memory(SYSROOT "/dev/shm");
  empty_memory(SYSROOT "/dev/mqueue");
  /* The kernel does not move mounts out of a shared one. */
  mount(NULL, SYSROOT, NULL, MS_REC | MS_PRIVATE, NULL);
  if (make_layer(top) != 0 || make_dirs(NEW_ROOT, 0755) != 0) {
    return fail(REASON_MACHINE, "making the next layer: %s", strerror(errno));
  }
  if (mount_overlay(top, NEW_ROOT) != 0 || move_mounts() != 0) {
    return -1;
  }
  if (umount2(SYSROOT, MNT_DETACH) != 0 || mount(NEW_ROOT, SYSROOT, NULL, MS_MOVE, NULL) != 0) {
    return fail(REASON_MACHINE, "changing the root: %s", strerror(errno));
  }
  return 0;
}

int push_layer(bool with_tar) {
  if (host_test) {
    return with_tar ? tree_extract_layer(0, "/dev/null") : 0;
  }
  if (with_tar && tree_extract_layer(0, SYSROOT) != 0) {
    return -1;
  }
  int top = top_layer();
  if (top < 0 || top >= MAX_LAYERS) {
    return fail(REASON_MACHINE, "there are %d layers already", top);
  }
  sync();
  return change_root(top + 1);
}

/* Nobody waits for it: files of a large layer take seconds. */
static void remove_in_background(const char *prefix, int from, int to) {
  if (fork() != 0) {
    return;
  }
  char name[64];
  syscall(SYS_close_range, 0, ~0U, 0);
  setpriority(PRIO_PROCESS, 0, 19);
  int dir = open(LAYERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int i = from; dir >= 0 && i <= to; i++) {
    snprintf(name, sizeof name, "%s-%d", prefix, i);
    remove_tree(dir, name);
  }
  _exit(0);
}

int drop_layers(int keep) {
  if (host_test) {
    return 0;
  }
  int top = top_layer();
  if (keep < 0 || keep > top) {
    return fail(REASON_MALFORMED, "there are %d layers, not %d", top + 1, keep);
  }
  char prefix[32], from[64], to[96];
  snprintf(prefix, sizeof prefix, "dropped-%d", getpid());
  /* From the top, so that what is there is at every moment the first so many. */
  for (int i = top; i >= keep; i--) {
    snprintf(from, sizeof from, LAYERS "/%d", i);
    snprintf(to, sizeof to, LAYERS "/%s-%d", prefix, i);
    if (rename(from, to) != 0) {
      return fail(REASON_MACHINE, "dropping a layer: %s", strerror(errno));
    }
  }
  if (change_root(keep) != 0) {
    return -1;
  }
  int root = open(SYSROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = make_mount_points(root);
  close(root);
  remove_in_background(prefix, keep, top);
  return result;
}
