#include "fs/rooted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

int rooted_open(int root, const char *path, int flags) {
  struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  while (*path == '/') {
    path++;
  }
  return (int)syscall(SYS_openat2, root, *path == 0 ? "." : path, &how, sizeof how);
}

static void note_created(rooted_created_fn *created, const char *path, size_t length) {
  if (created != NULL) {
    created(path, length);
  }
}

/* Making or removing a mount point is not the build's work, and leaves the time of its folder as it was. */
void restore_time(int dir, const struct stat *before) {
  char path[FD_PATH];
  const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, before->st_mtim};
  utimensat(AT_FDCWD, fd_path(dir, path), times, 0);
}

/* Every prefix is resolved from the root again, so that links on the way lead where they lead inside of the root. */
int rooted_make(int root, const char *path, bool directory, mode_t mode, rooted_created_fn *created) {
  char part[4096];
  size_t length = strlen(path), from = 0;
  int parent = rooted_open(root, "/", O_PATH | O_DIRECTORY);
  while (length > 1 && path[length - 1] == '/') {
    length--;
  }
  while (parent >= 0 && length < sizeof part) {
    while (from < length && path[from] == '/') {
      from++;
    }
    if (from >= length) {
      return parent;
    }
    size_t end = from + strcspn(path + from, "/");
    end = end > length ? length : end;
    bool last = end == length;
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)(end - from), path + from);
    memcpy(part, path, end);
    part[end] = 0;
    int next = rooted_open(root, part, O_PATH);
    if (next < 0 && errno == ENOENT) {
      struct stat before;
      bool known = created != NULL && fstat(parent, &before) == 0;
      bool ok = last && !directory ? mknodat(parent, name, S_IFREG | (mode & 0777), 0) == 0 : mkdirat(parent, name, last ? mode : 0755) == 0;
      if (ok) {
        note_created(created, part, end);
        if (known) {
          restore_time(parent, &before);
        }
      }
      next = ok ? rooted_open(root, part, O_PATH) : -1;
    }
    int error = errno;
    close(parent);
    errno = error;
    parent = next, from = end;
  }
  return parent;
}

const char *fd_path(int fd, char *out) {
  snprintf(out, FD_PATH, "/proc/self/fd/%d", fd);
  return out;
}
