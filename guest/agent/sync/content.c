#include "sync/content.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART = 256 << 10 };

static char bytes[2][PART];

static int open_file(int folder, const char *name, const struct stamp *stamp, bool unsettled) {
  struct stamp now;
  int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
  if (fd < 0 && errno == EPERM) {
    fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  }
  if (fd >= 0 && (!stamp_listed(fd, "", &now) || (unsettled ? now.inode != stamp->inode : !stamps_equal(&now, stamp)))) {
    close(fd);
    errno = EAGAIN;
    return -1;
  }
  return fd;
}

static ssize_t read_part(int fd, char *out) {
  size_t have = 0;
  while (have < PART) {
    ssize_t got = read(fd, out + have, PART - have);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return -1;
    }
    if (got == 0) {
      break;
    }
    have += (size_t)got;
  }
  return (ssize_t)have;
}

static bool write_part(int fd, const char *from, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t put = write(fd, from + at, length - at);
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put <= 0) {
      return false;
    }
    at += (size_t)put;
  }
  return true;
}

static bool is_zero(const char *part, size_t length) { return length == PART && part[0] == 0 && memcmp(part, part + 1, length - 1) == 0; }

static bool copy_bytes(int from, int to, const struct stamp *stamp, bool unsettled) {
  uint64_t total = 0;
  bool ends_in_hole = false;
  for (ssize_t got; (got = read_part(from, bytes[0])) != 0; total += (uint64_t)got) {
    /* Holes stay holes. */
    ends_in_hole = got > 0 && is_zero(bytes[0], (size_t)got);
    if (got < 0 || !(ends_in_hole ? lseek(to, got, SEEK_CUR) >= 0 : write_part(to, bytes[0], (size_t)got))) {
      return false;
    }
  }
  if (total != stamp->size && !unsettled) {
    errno = EAGAIN;
    return false;
  }
  return !ends_in_hole || ftruncate(to, (off_t)total) == 0;
}

static struct timespec time_of(const struct stamp *stamp) {
  int64_t seconds = stamp->modified_ns / 1000000000, rest = stamp->modified_ns % 1000000000;
  return rest < 0 ? (struct timespec){seconds - 1, rest + 1000000000} : (struct timespec){seconds, rest};
}

/* An owner that the other side does not know is left out; a close may be what says that the disk is full. On a share each call waits for the
 * host, so a mode that is right from the beginning is not set again. */
static bool finish(int fd, const struct stamp *stamp, const struct stat *owner, bool has_mode) {
  const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, time_of(stamp)};
  if (owner != NULL && fchown(fd, owner->st_uid, owner->st_gid) != 0 && errno != EPERM && errno != EINVAL) {
    return false;
  }
  return (has_mode || fchmod(fd, stamp->mode & 07777) == 0) && futimens(fd, times) == 0;
}

static bool copy_file(int from, const char *name, const struct stamp *stamp, int to, const char *temporary, bool with_owner, bool unsettled) {
  struct stat owner;
  struct stamp after;
  int source = open_file(from, name, stamp, unsettled);
  /* What gets another owner has its mode after that. */
  int target = source < 0 ? -1 : openat(to, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, with_owner ? 0600 : stamp->mode & 0777);
  bool has_mode = target >= 0 && !with_owner && fstat(target, &owner) == 0 && (owner.st_mode & 07777) == (stamp->mode & 07777);
  bool ok = target >= 0 && fstat(source, &owner) == 0 && copy_bytes(source, target, stamp, unsettled) &&
            finish(target, stamp, with_owner ? &owner : NULL, has_mode);
  if (ok && !unsettled && (!stamp_of(source, &after) || !stamps_equal(&after, stamp))) {
    ok = false;
    errno = EAGAIN;
  }
  int error = errno;
  if (source >= 0) {
    close(source);
  }
  if (target >= 0 && close(target) != 0 && ok) {
    ok = false;
    error = errno;
  }
  if (target >= 0 && !ok) {
    unlinkat(to, temporary, 0);
  }
  errno = error;
  return ok;
}

static bool read_link(int folder, const char *name, char out[PATH_MAX]) {
  ssize_t length = readlinkat(folder, name, out, PATH_MAX - 1);
  if (length >= 0) {
    out[length] = 0;
  }
  return length >= 0;
}

static bool copy_link(int from, const char *name, const struct stamp *stamp, int to, const char *temporary, bool with_owner, bool unsettled) {
  char target[PATH_MAX];
  struct stat owner;
  (void)unsettled;
  const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, time_of(stamp)};
  if (!read_link(from, name, target) || symlinkat(target, to, temporary) != 0) {
    return false;
  }
  if (with_owner && fstatat(from, name, &owner, AT_SYMLINK_NOFOLLOW) == 0) {
    fchownat(to, temporary, owner.st_uid, owner.st_gid, AT_SYMLINK_NOFOLLOW);
  }
  utimensat(to, temporary, times, AT_SYMLINK_NOFOLLOW);
  return true;
}

bool content_copy(int from, const char *name, const struct stamp *stamp, int to, const char *temporary, bool with_owner, bool unsettled) {
  return (is_file(stamp) ? copy_file : copy_link)(from, name, stamp, to, temporary, with_owner, unsettled);
}

static int equal_files(int a, int b) {
  for (;;) {
    ssize_t have = read_part(a, bytes[0]), other = read_part(b, bytes[1]);
    if (have < 0 || other < 0) {
      return -1;
    }
    if (have != other || memcmp(bytes[0], bytes[1], (size_t)have) != 0) {
      return 0;
    }
    if (have == 0) {
      return 1;
    }
  }
}

int content_equal(int a, const char *a_name, const struct stamp *a_stamp, int b, const char *b_name, const struct stamp *b_stamp) {
  static char targets[2][PATH_MAX];
  if ((a_stamp->mode & S_IFMT) != (b_stamp->mode & S_IFMT) || a_stamp->size != b_stamp->size) {
    return 0;
  }
  if (!is_file(a_stamp)) {
    return read_link(a, a_name, targets[0]) && read_link(b, b_name, targets[1]) ? strcmp(targets[0], targets[1]) == 0 : -1;
  }
  int first = open_file(a, a_name, a_stamp, false), second = first < 0 ? -1 : open_file(b, b_name, b_stamp, false);
  int result = second < 0 ? -1 : equal_files(first, second), error = errno;
  if (first >= 0) {
    close(first);
  }
  if (second >= 0) {
    close(second);
  }
  errno = error;
  return result;
}
