#include "fs/tar_put.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/failure.h"

enum { MAX_XATTR = 64 << 10 };

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

void tar_put_xattrs(struct tar *t, const char *path) {
  static char names[MAX_XATTR], value[MAX_XATTR];
  char *sorted[1024];
  size_t count = 0;
  ssize_t length = llistxattr(path, names, sizeof names);
  for (char *at = names; length > 0 && at < names + length && count < 1024; at += strlen(at) + 1) {
    sorted[count++] = at;
  }
  qsort(sorted, count, sizeof *sorted, compare);
  for (size_t i = 0; i < count; i++) {
    char key[320];
    bool own = strncmp(sorted[i], "trusted.overlay.", 16) == 0 || strncmp(sorted[i], "user.overlay.", 13) == 0 ||
               strncmp(sorted[i], "security.selinux", 16) == 0;
    ssize_t n = own ? -1 : lgetxattr(path, sorted[i], value, sizeof value);
    if (n >= 0) {
      snprintf(key, sizeof key, "SCHILY.xattr.%s", sorted[i]);
      tar_add_pax(t, key, value, (size_t)n);
    }
  }
}

/* The name under which an inode with several links was written before. */
static const char *seen_link(struct tar *t, const struct stat *st, const char *name) {
  size_t slot, mask = t->link_count;
  for (slot = 0; slot < mask; slot++) {
    if (t->links[slot].ino == st->st_ino && t->links[slot].dev == st->st_dev) {
      return t->links[slot].name;
    }
  }
  if ((t->link_count & (t->link_count + 1)) == 0 || t->link_count % 1024 == 0) {
    struct link *bigger = realloc(t->links, (t->link_count * 2 + 1024) * sizeof *bigger);
    if (bigger == NULL) {
      t->failed = true;
      return NULL;
    }
    t->links = bigger;
  }
  t->links[t->link_count++] = (struct link){st->st_dev, st->st_ino, strdup(name)};
  return NULL;
}

void tar_put_content(struct tar *t, int fd, uint64_t size) {
  static uint8_t chunk[BUFFER];
  uint64_t left = size;
  while (left > 0 && !t->failed) {
    ssize_t n = read(fd, chunk, left < sizeof chunk ? (size_t)left : sizeof chunk);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      memset(chunk, 0, sizeof chunk);
      n = (ssize_t)(left < sizeof chunk ? left : sizeof chunk);
    }
    tar_put(t, chunk, (size_t)n);
    left -= (uint64_t)n;
  }
  tar_put_padding(t, size);
}

static void put_whiteout(struct tar *t, const char *name) {
  char text[PATH_MAX + 8];
  const char *slash = strrchr(name, '/');
  size_t parent = slash == NULL ? 0 : (size_t)(slash - name) + 1;
  struct stat none = {.st_mode = S_IFREG | 0644};
  snprintf(text, sizeof text, "%.*s.wh.%s", (int)parent, name, name + parent);
  tar_put_header(t, text, &none, '0', NULL, 0);
}

void tar_put_file(struct tar *t, const char *name, const struct stat *st) {
  const char *first = st->st_nlink > 1 ? seen_link(t, st, name) : NULL;
  if (first != NULL) {
    tar_put_header(t, name, st, '1', first, 0);
    return;
  }
  int fd = open(t->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    t->failed = errno != ENOENT && fail(REASON_ARCHIVE, "reading %s: %s", t->path, strerror(errno)) != 0;
    return;
  }
  tar_put_xattrs(t, t->path);
  tar_put_header(t, name, st, '0', NULL, (uint64_t)st->st_size);
  tar_put_content(t, fd, (uint64_t)st->st_size);
  close(fd);
}

void tar_put_other(struct tar *t, const char *name, const struct stat *st) {
  char target[PATH_MAX];
  char type = S_ISLNK(st->st_mode) ? '2' : S_ISCHR(st->st_mode) ? '3' : S_ISBLK(st->st_mode) ? '4' : S_ISFIFO(st->st_mode) ? '6' : 0;
  if (type == '3' && t->layer && st->st_rdev == 0) {
    put_whiteout(t, name);
    return;
  }
  const char *first = type != 0 && st->st_nlink > 1 ? seen_link(t, st, name) : NULL;
  if (first != NULL) {
    tar_put_header(t, name, st, '1', first, 0);
    return;
  }
  ssize_t n = type == '2' ? readlink(t->path, target, sizeof target - 1) : 0;
  if (type == 0 || n < 0) {
    return;
  }
  target[n] = 0;
  tar_put_xattrs(t, t->path);
  tar_put_header(t, name, st, type, type == '2' ? target : NULL, 0);
}
