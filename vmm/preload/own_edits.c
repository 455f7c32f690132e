/*
 * A change is known by the time of change that it gave its file (st_ctime), which nobody can set: while the file has that time, nobody else
 * has changed it since.
 */
#define _GNU_SOURCE
#include "own_edits.h"

#include "new_folder.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SLOTS = 4096 };

struct edit {
  dev_t device;
  ino_t number;
  struct timespec changed;
};

static atomic_bool is_asked;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct edit edits[SLOTS];

void own_edits_begin(void) { atomic_store(&is_asked, true); }

static struct edit *slot_of(const struct stat *info) { return &edits[(info->st_ino ^ info->st_dev) % SLOTS]; }

static void note(const struct stat *info) {
  pthread_mutex_lock(&lock);
  *slot_of(info) = (struct edit){info->st_dev, info->st_ino, info->st_ctim};
  pthread_mutex_unlock(&lock);
}

bool is_own_edit(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return false;
  }
  pthread_mutex_lock(&lock);
  const struct edit *edit = slot_of(&info);
  bool is_own = edit->device == info.st_dev && edit->number == info.st_ino && edit->changed.tv_sec == info.st_ctim.tv_sec &&
                edit->changed.tv_nsec == info.st_ctim.tv_nsec;
  pthread_mutex_unlock(&lock);
  return is_own;
}

void note_own(int fd) {
  struct stat info;
  int before = errno;
  if (atomic_load(&is_asked) && fstat(fd, &info) == 0) {
    note(&info);
  }
  errno = before;
}

void note_own_at(int folder, const char *path, bool named) {
  struct stat info;
  int before = errno;
  int flags = (named ? AT_SYMLINK_NOFOLLOW : 0) | (*path == 0 ? AT_EMPTY_PATH : 0);
  if (atomic_load(&is_asked) && fstatat(folder, path, &info, flags) == 0) {
    note(&info);
  }
  errno = before;
  if (named) {
    note_own(folder);
  }
}

/* The C library's own function of this name. */
#define NEXT(name) static __typeof__(&name) next; if (next == NULL) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
  NEXT(pwritev2);
  ssize_t result = next(fd, parts, count, offset, flags);
  note_own(fd);
  return result;
}

int ftruncate(int fd, off64_t length) {
  NEXT(ftruncate);
  int result = next(fd, length);
  note_own(fd);
  return result;
}

int fchmod(int fd, mode_t mode) {
  NEXT(fchmod);
  int result = next(fd, mode);
  note_own(fd);
  return result;
}

int fchmodat(int folder, const char *path, mode_t mode, int flags) {
  NEXT(fchmodat);
  int result = next(folder, path, mode, flags);
  note_own_at(folder, path, false);
  return result;
}

int fchownat(int folder, const char *path, uid_t owner, gid_t group, int flags) {
  NEXT(fchownat);
  int result = next(folder, path, owner, group, flags);
  note_own_at(folder, path, false);
  return result;
}

int futimens(int fd, const struct timespec times[2]) {
  NEXT(futimens);
  int result = next(fd, times);
  note_own(fd);
  return result;
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
  NEXT(utimensat);
  int result = next(folder, path, times, flags);
  note_own_at(folder, path, false);
  return result;
}

int mkdirat(int folder, const char *path, mode_t mode) {
  if ((mode & 07777) == TOLD_MODE) {
    errno = EEXIST;
    return new_folder_end(folder, path) ? 0 : -1;
  }
  NEXT(mkdirat);
  int result = next(folder, path, mode);
  note_own_at(folder, path, true);
  return result;
}

int mknodat(int folder, const char *path, mode_t mode, dev_t device) {
  NEXT(mknodat);
  int result = next(folder, path, mode, device);
  note_own_at(folder, path, true);
  return result;
}

int symlinkat(const char *target, int folder, const char *path) {
  NEXT(symlinkat);
  int result = next(target, folder, path);
  note_own_at(folder, path, true);
  return result;
}

int linkat(int from, const char *path, int folder, const char *name, int flags) {
  NEXT(linkat);
  int result = next(from, path, folder, name, flags);
  note_own_at(folder, name, true);
  return result;
}

int unlinkat(int folder, const char *path, int flags) {
  NEXT(unlinkat);
  int result = next(folder, path, flags);
  note_own_at(folder, path, true);
  return result;
}

/* The flags are the first member of struct open_how. */
static bool makes_file(const void *how) { return (*(const uint64_t *)how & (O_CREAT | O_TRUNC)) != 0; }

/* It renames, makes files and looks names up by this. */
long syscall(long number, ...) {
  NEXT(syscall);
  va_list rest;
  long a[6];
  va_start(rest, number);
  for (int i = 0; i < 6; i++) {
    a[i] = va_arg(rest, long);
  }
  va_end(rest);
  if (number == SYS_openat2 && is_new_folder((int)a[0], (const char *)a[1])) {
    errno = ENOENT;
    return -1;
  }
  long result = next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (number == SYS_openat2 && result >= 0 && makes_file((const void *)a[2])) {
    note_own((int)result);
    note_own((int)a[0]);
  }
  if (number == SYS_renameat2) {
    note_own((int)a[0]);
    note_own_at((int)a[2], (const char *)a[3], true);
  }
  return result;
}
