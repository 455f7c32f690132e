#include "sync/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sync/put.h"

struct places places;

static struct {
  const struct node *folder;
  int fd;
} last[SIDES] = {{NULL, -1}, {NULL, -1}};

static int root_of(enum side side) { return side == HOST ? places.host : places.guest; }

static int open_below(const struct node *folder, enum side side, int flags) {
  char path[PATH_MAX];
  struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
  if (!tree_path(folder, path, sizeof path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  return (int)syscall(SYS_openat2, root_of(side), *path == 0 ? "." : path, &how, sizeof how);
}

bool is_absence(int error) { return error == ENOENT || error == ENOTDIR || error == ELOOP; }

void folders_forget(const struct node *folder) {
  for (int side = 0; side < SIDES; side++) {
    if (last[side].fd >= 0 && (folder == NULL || last[side].folder == folder)) {
      close(last[side].fd);
      last[side].fd = -1;
      last[side].folder = NULL;
    }
  }
}

int folder_of(const struct node *folder, enum side side) {
  if (folder->parent == NULL) {
    return root_of(side);
  }
  if (last[side].folder != folder) {
    if (last[side].fd >= 0) {
      close(last[side].fd);
    }
    last[side].fd = open_below(folder, side, O_PATH);
    last[side].folder = last[side].fd >= 0 ? folder : NULL;
  }
  return last[side].fd;
}

bool folder_list(struct node *folder, enum side side, uint32_t look) {
  int fd = open_below(folder, side, O_RDONLY);
  DIR *list = fd < 0 ? NULL : fdopendir(fd);
  bool ok = true;
  if (list == NULL) {
    int error = errno;
    if (fd >= 0) {
      close(fd);
    }
    errno = error;
    return false;
  }
  struct dirent *entry;
  errno = 0;
  while (ok && (entry = readdir(list)) != NULL) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !is_temporary(entry->d_name)) {
      struct node *child = tree_child(folder, entry->d_name, true);
      /* At once: while it is read, the kernel has what the host said of it. */
      ok = child != NULL && stamp_listed(fd, entry->d_name, &child->now[side]);
      errno = child == NULL ? ENOMEM : errno;
      if (ok) {
        child->listed[side] = look;
      }
    }
    errno = ok ? 0 : errno;
  }
  int error = errno;
  ok = ok && error == 0;
  closedir(list);
  errno = error;
  return ok;
}
