/*
 * Preloaded into virtiofsd.
 *
 * It duplicates and closes a file's descriptor for each FLUSH, which a guest sends and waits for whenever a file is closed. On a file
 * system of this host that answers nothing: errors of writing are those of fsync, and POSIX locks are the guest's own. With the answer
 * ENOSYS to the first one the guest's kernel sends no further ones. What else it duplicates (events) are no files.
 *
 * A guest's agent tells the guest's programs what was edited outside (guest/agent/watchers/tell_edits.c). Its kernel does so only after
 * operations that succeeded, and these must change nothing: an attribute of this name is not set, a file that is opened in this way is
 * opened for reading, and at this offset nothing is allocated. Any other program of the guest may do the same, and gets as little. Each
 * fails for what the guest itself changed last: its programs have heard of that. Of a folder that is new they are told by its being made:
 * with the attribute on the folder above, whose value is the name, that name is hidden from lookups until mkdir with TOLD_MODE, which makes nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "new_folder.h"
#include "own_edits.h"

#define TOLD_ATTRIBUTE "hypr.told"
#define TOLD_OPEN (O_WRONLY | O_SYNC | O_ASYNC | O_NONBLOCK)
#define TOLD_OFFSET (1LL << 60)

int dup(int fd) {
  struct stat info;
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
    errno = ENOSYS;
    return -1;
  }
  return fcntl(fd, F_DUPFD, 0);
}

static int refuse(void) {
  errno = EALREADY;
  return -1;
}

/* By this the agent knows that this library is here. */
ssize_t fgetxattr(int fd, const char *name, void *value, size_t size) {
  if (strcmp(name, TOLD_ATTRIBUTE) == 0) {
    own_edits_begin();
    return 0;
  }
  return (ssize_t)syscall(SYS_fgetxattr, fd, name, value, size);
}

int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags) {
  if (strcmp(name, TOLD_ATTRIBUTE) == 0) {
    if (size > 0) {
      new_folder_begin(fd, value, size);
      return 0;
    }
    return is_own_edit(fd) ? refuse() : 0;
  }
  int result = (int)syscall(SYS_fsetxattr, fd, name, value, size, flags);
  note_own(fd);
  return result;
}

int setxattr(const char *path, const char *name, const void *value, size_t size, int flags) {
  return strcmp(name, TOLD_ATTRIBUTE) == 0 ? 0 : (int)syscall(SYS_setxattr, path, name, value, size, flags);
}

int openat(int folder, const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  /* O_CREAT is never with it: the agent opens what is there. */
  if ((flags & O_PATH) != 0 && is_new_folder(folder, path)) {
    errno = ENOENT;
    return -1;
  }
  bool is_told = (flags & (O_ACCMODE | O_CREAT | O_TRUNC | TOLD_OPEN)) == TOLD_OPEN;
  if (is_told) {
    flags = (flags & ~(O_ACCMODE | O_SYNC | O_ASYNC)) | O_RDONLY;
  }
  int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
  if (fd >= 0 && is_told && is_own_edit(fd)) {
    close(fd);
    return refuse();
  }
  if (fd >= 0 && (flags & (O_CREAT | O_TRUNC)) != 0) {
    note_own(fd);
  }
  if (fd >= 0 && (flags & O_CREAT) != 0) {
    note_own(folder);
  }
  return fd;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  if (mode == FALLOC_FL_KEEP_SIZE && offset == TOLD_OFFSET) {
    return 0;
  }
  int result = (int)syscall(SYS_fallocate, fd, mode, offset, length);
  note_own(fd);
  return result;
}
