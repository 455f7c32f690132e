#include "sync/stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t ns(struct statx_timestamp time) { return time.tv_sec * 1000000000LL + time.tv_nsec; }

static bool take(int folder, const char *name, int flags, struct stamp *out) {
  struct statx info;
  *out = (struct stamp){0};
  if (statx(folder, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &info) != 0) {
    return errno == ENOENT || errno == ENOTDIR;
  }
  *out = (struct stamp){info.stx_mode, info.stx_nlink, info.stx_size, info.stx_ino, ns(info.stx_mtime), ns(info.stx_ctime)};
  return true;
}

/* A link from another file system is never made, but before the kernel says so it asks the host of a share for the name (as in
 * watchers/tell_edits.c). */
bool stamp_at(int folder, const char *name, struct stamp *out) {
  linkat(AT_FDCWD, "/proc/version", folder, name, 0);
  return take(folder, name, 0, out);
}

bool stamp_listed(int folder, const char *name, struct stamp *out) { return take(folder, name, *name == 0 ? AT_EMPTY_PATH : 0, out); }

bool stamp_of(int fd, struct stamp *out) { return take(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, out); }

bool is_file(const struct stamp *stamp) { return S_ISREG(stamp->mode); }

bool is_folder(const struct stamp *stamp) { return S_ISDIR(stamp->mode); }

bool is_plain(const struct stamp *stamp) { return is_file(stamp) || is_folder(stamp) || S_ISLNK(stamp->mode); }

/* What a folder holds is a matter of its children. */
bool stamps_equal_moved(const struct stamp *a, const struct stamp *b) {
  return a->mode == b->mode && (a->mode == 0 || is_folder(a) || (a->size == b->size && a->inode == b->inode && a->modified_ns == b->modified_ns));
}

bool stamps_equal(const struct stamp *a, const struct stamp *b) {
  return stamps_equal_moved(a, b) && (a->mode == 0 || is_folder(a) || a->changed_ns == b->changed_ns);
}

bool content_untouched(const struct stamp *a, const struct stamp *b) {
  return (a->mode & S_IFMT) == (b->mode & S_IFMT) && (is_folder(a) || (a->size == b->size && a->inode == b->inode && a->modified_ns == b->modified_ns));
}
