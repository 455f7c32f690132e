/*
 * Trees as tar streams: POSIX ustar with PAX headers for what does not fit (POSIX.1-2008 pax), extended
 * attributes as SCHILY.xattr, hard links, sorted names. In layer mode the upper of an overlay becomes an OCI layer:
 * whiteouts as .wh. files, overlayfs's own attributes left out (OCI image-spec, layer.md).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kestrel.h"
#include "rooted.h"
#include "tree.h"

enum { BLOCK = 512, BUFFER = 64 << 10, MAX_DEPTH = 512, MAX_PAX = 1 << 20, MAX_XATTR = 64 << 10 };

struct link {
  dev_t dev;
  ino_t ino;
  char *name;
};

struct tar {
  int out;
  bool layer, failed;
  /* Put before every name: the base name of what was asked for, or nothing. */
  const char *prefix;
  char path[PATH_MAX];
  size_t used;
  uint8_t buffer[BUFFER];
  char *pax;
  size_t pax_length;
  struct link *links;
  size_t link_count;
};

static void flush(struct tar *t) {
  for (size_t at = 0; at < t->used && !t->failed;) {
    ssize_t n = write(t->out, t->buffer + at, t->used - at);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    t->failed = n <= 0;
    at += n > 0 ? (size_t)n : 0;
  }
  t->used = 0;
}

static void put(struct tar *t, const void *data, size_t length) {
  const uint8_t *at = data;
  while (length > 0 && !t->failed) {
    size_t n = BUFFER - t->used < length ? BUFFER - t->used : length;
    memcpy(t->buffer + t->used, at, n);
    t->used += n, at += n, length -= n;
    if (t->used == BUFFER) {
      flush(t);
    }
  }
}

static void put_padding(struct tar *t, uint64_t length) {
  static const uint8_t zeros[BLOCK];
  put(t, zeros, (size_t)((BLOCK - length % BLOCK) % BLOCK));
}

/* ---- headers ---- */

struct header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2], uname[32], gname[32],
      major[8], minor[8], prefix[155], pad[12];
};

static void octal(char *field, size_t width, uint64_t value) {
  for (size_t i = width - 1; i-- > 0; value >>= 3) {
    field[i] = (char)('0' + (value & 7));
  }
  field[width - 1] = 0;
}

static bool fits(uint64_t value, unsigned digits) { return value >> (3 * digits) == 0; }

static void pax_add(struct tar *t, const char *key, const void *value, size_t length) {
  size_t base = strlen(key) + length + 3, digits = 1, total;
  for (total = base + digits; (size_t)snprintf(NULL, 0, "%zu", total) != digits; total = base + digits) {
    digits++;
  }
  char *bigger = t->pax_length + total > MAX_PAX ? NULL : realloc(t->pax, t->pax_length + total + 1);
  if (bigger == NULL) {
    t->failed = true;
    return;
  }
  t->pax = bigger;
  int n = sprintf(t->pax + t->pax_length, "%zu %s=", total, key);
  memcpy(t->pax + t->pax_length + n, value, length);
  t->pax[t->pax_length + total - 1] = '\n';
  t->pax_length += total;
}

static void pax_number(struct tar *t, const char *key, long long value) {
  char text[32];
  pax_add(t, key, text, (size_t)snprintf(text, sizeof text, "%lld", value));
}

/* A long name goes into prefix and name where it can be cut at a slash, else into a PAX record. */
static void set_name(struct tar *t, struct header *h, const char *name) {
  size_t length = strlen(name);
  if (length <= sizeof h->name) {
    memcpy(h->name, name, length);
    return;
  }
  for (size_t cut = length - 1; cut > 0; cut--) {
    if (name[cut] == '/' && cut <= sizeof h->prefix && length - cut - 1 <= sizeof h->name && length - cut - 1 > 0) {
      memcpy(h->prefix, name, cut);
      memcpy(h->name, name + cut + 1, length - cut - 1);
      return;
    }
  }
  pax_add(t, "path", name, length);
  memcpy(h->name, name + length - sizeof h->name, sizeof h->name);
}

static void seal(struct header *h) {
  unsigned sum = 0;
  memcpy(h->magic, "ustar", 6);
  memcpy(h->version, "00", 2);
  memset(h->checksum, ' ', sizeof h->checksum);
  for (size_t i = 0; i < sizeof *h; i++) {
    sum += ((const uint8_t *)h)[i];
  }
  octal(h->checksum, 7, sum);
}

static void put_pax(struct tar *t) {
  struct header h;
  if (t->pax_length == 0) {
    return;
  }
  memset(&h, 0, sizeof h);
  memcpy(h.name, "PaxHeaders/entry", 16);
  octal(h.mode, 8, 0644), octal(h.uid, 8, 0), octal(h.gid, 8, 0), octal(h.mtime, 12, 0), octal(h.size, 12, t->pax_length);
  h.type = 'x';
  seal(&h);
  put(t, &h, sizeof h);
  put(t, t->pax, t->pax_length);
  put_padding(t, t->pax_length);
  t->pax_length = 0;
}

static void put_header(struct tar *t, const char *name, const struct stat *st, char type, const char *link, uint64_t size) {
  struct header h;
  memset(&h, 0, sizeof h);
  set_name(t, &h, name);
  octal(h.mode, 8, st->st_mode & 07777);
  octal(h.uid, 8, fits(st->st_uid, 7) ? st->st_uid : 0), octal(h.gid, 8, fits(st->st_gid, 7) ? st->st_gid : 0);
  octal(h.size, 12, fits(size, 11) ? size : 0);
  bool time_fits = st->st_mtime >= 0 && fits((uint64_t)st->st_mtime, 11);
  octal(h.mtime, 12, time_fits ? (uint64_t)st->st_mtime : 0);
  if (!fits(st->st_uid, 7)) {
    pax_number(t, "uid", st->st_uid);
  }
  if (!fits(st->st_gid, 7)) {
    pax_number(t, "gid", st->st_gid);
  }
  if (!fits(size, 11)) {
    pax_number(t, "size", (long long)size);
  }
  if (!time_fits) {
    pax_number(t, "mtime", st->st_mtime);
  }
  if (link != NULL && strlen(link) > sizeof h.link) {
    pax_add(t, "linkpath", link, strlen(link));
  } else if (link != NULL) {
    memcpy(h.link, link, strlen(link));
  }
  if (type == '3' || type == '4') {
    octal(h.major, 8, major(st->st_rdev)), octal(h.minor, 8, minor(st->st_rdev));
  }
  h.type = type;
  put_pax(t);
  seal(&h);
  put(t, &h, sizeof h);
}

/* ---- one entry ---- */

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Names sorted, so that the same tree always gives the same bytes. */
static void add_xattrs(struct tar *t, const char *path) {
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
      pax_add(t, key, value, (size_t)n);
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

/* A file that shrinks while it is read is filled with zeros: its size has been said already. */
static void put_content(struct tar *t, int fd, uint64_t size) {
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
    put(t, chunk, (size_t)n);
    left -= (uint64_t)n;
  }
  put_padding(t, size);
}

static void put_whiteout(struct tar *t, const char *name) {
  char text[PATH_MAX + 8];
  const char *slash = strrchr(name, '/');
  size_t parent = slash == NULL ? 0 : (size_t)(slash - name) + 1;
  struct stat none = {.st_mode = S_IFREG | 0644};
  snprintf(text, sizeof text, "%.*s.wh.%s", (int)parent, name, name + parent);
  put_header(t, text, &none, '0', NULL, 0);
}

static bool is_opaque(const char *path) {
  char value[8];
  return lgetxattr(path, "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

static char **read_names(const char *path, size_t *count);
static bool is_stub(struct tar *t, const struct stat *st, int depth);

/* True if all that a folder holds is mount points. */
static bool only_stubs(struct tar *t, int depth) {
  size_t count, length = strlen(t->path);
  char **names = read_names(t->path, &count);
  bool only = depth < MAX_DEPTH;
  for (size_t i = 0; i < count; i++) {
    struct stat st;
    if (only && names[i] != NULL && length + strlen(names[i]) + 2 < sizeof t->path) {
      snprintf(t->path + length, sizeof t->path - length, "/%s", names[i]);
      only = lstat(t->path, &st) == 0 && is_stub(t, &st, depth + 1);
      t->path[length] = 0;
    }
    free(names[i]);
  }
  free(names);
  return only;
}

/* Mount points that kestrel made are not the build's work, and neither are the folders that overlayfs copied up to
 * hold them. A folder whose only change is its time is left out with them. */
static bool is_stub(struct tar *t, const struct stat *st, int depth) {
  if (S_ISREG(st->st_mode)) {
    return st->st_size == 0 && was_created(t->path);
  }
  return S_ISDIR(st->st_mode) && !is_opaque(t->path) && (was_created(t->path) || same_below(t->path, st)) && only_stubs(t, depth);
}

static void put_file(struct tar *t, const char *name, const struct stat *st) {
  const char *first = st->st_nlink > 1 ? seen_link(t, st, name) : NULL;
  if (first != NULL) {
    put_header(t, name, st, '1', first, 0);
    return;
  }
  int fd = open(t->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    t->failed = errno != ENOENT && fail("reading %s: %s", t->path, strerror(errno)) != 0;
    return;
  }
  add_xattrs(t, t->path);
  put_header(t, name, st, '0', NULL, (uint64_t)st->st_size);
  put_content(t, fd, (uint64_t)st->st_size);
  close(fd);
}

static void put_other(struct tar *t, const char *name, const struct stat *st) {
  char target[PATH_MAX];
  char type = S_ISLNK(st->st_mode) ? '2' : S_ISCHR(st->st_mode) ? '3' : S_ISBLK(st->st_mode) ? '4' : S_ISFIFO(st->st_mode) ? '6' : 0;
  if (type == '3' && t->layer && st->st_rdev == 0) {
    put_whiteout(t, name);
    return;
  }
  const char *first = type != 0 && st->st_nlink > 1 ? seen_link(t, st, name) : NULL;
  if (first != NULL) {
    put_header(t, name, st, '1', first, 0);
    return;
  }
  ssize_t n = type == '2' ? readlink(t->path, target, sizeof target - 1) : 0;
  if (type == 0 || n < 0) {
    return;
  }
  target[n] = 0;
  add_xattrs(t, t->path);
  put_header(t, name, st, type, type == '2' ? target : NULL, 0);
}

/* ---- the walk ---- */

static char **read_names(const char *path, size_t *count) {
  DIR *dir = opendir(path);
  char **names = NULL;
  struct dirent *entry;
  *count = 0;
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
      continue;
    }
    if ((*count & (*count - 1)) == 0) {
      char **bigger = realloc(names, (*count == 0 ? 1 : *count * 2) * sizeof *names);
      if (bigger == NULL) {
        break;
      }
      names = bigger;
    }
    names[(*count)++] = strdup(entry->d_name);
  }
  if (dir != NULL) {
    closedir(dir);
  }
  if (*count > 0) {
    qsort(names, *count, sizeof *names, compare);
  }
  return names;
}

static void full_name(const struct tar *t, bool directory, char *out, size_t size) {
  const char *path = strcmp(t->path, ".") == 0 ? "" : t->path;
  bool both = t->prefix[0] != 0 && path[0] != 0;
  snprintf(out, size, "%s%s%s%s", t->prefix, both ? "/" : "", path, directory ? "/" : "");
}

static void walk(struct tar *t, int depth);

static void walk_below(struct tar *t, int depth) {
  size_t count, length = strcmp(t->path, ".") == 0 ? 0 : strlen(t->path);
  char **names = read_names(t->path, &count);
  for (size_t i = 0; i < count; i++) {
    if (!t->failed && names[i] != NULL && length + strlen(names[i]) + 2 < sizeof t->path) {
      snprintf(t->path + length, sizeof t->path - length, "%s%s", length == 0 ? "" : "/", names[i]);
      walk(t, depth + 1);
    }
    free(names[i]);
  }
  free(names);
  strcpy(t->path + length, length == 0 ? "." : "");
}

/* Recursion is bounded by MAX_DEPTH; a tree that is deeper is refused. */
static void walk(struct tar *t, int depth) {
  static char name[PATH_MAX * 2];
  struct stat st;
  bool top = strcmp(t->path, ".") == 0;
  if (t->failed || lstat(t->path, &st) != 0 || (t->layer && !top && is_stub(t, &st, depth))) {
    return;
  }
  if (depth > MAX_DEPTH) {
    t->failed = fail("folders are nested too deeply at %.200s", t->path) != 0;
    return;
  }
  full_name(t, S_ISDIR(st.st_mode), name, sizeof name);
  if (!S_ISDIR(st.st_mode)) {
    if (S_ISREG(st.st_mode)) {
      put_file(t, name, &st);
    } else {
      put_other(t, name, &st);
    }
    return;
  }
  if (!top || t->prefix[0] != 0) {
    add_xattrs(t, t->path);
    put_header(t, name, &st, '5', NULL, 0);
    if (t->layer && is_opaque(t->path)) {
      struct stat none = {.st_mode = S_IFREG | 0644};
      strcat(name, ".wh..wh..opq");
      put_header(t, name, &none, '0', NULL, 0);
    }
  }
  walk_below(t, depth);
}

static int finish(struct tar *t) {
  static const uint8_t end[2 * BLOCK];
  put(t, end, sizeof end);
  flush(t);
  return t->failed ? -1 : 0;
}

static struct tar tar;

int tree_write(int out, int dir) {
  memset(&tar, 0, sizeof tar);
  tar.out = out, tar.prefix = "";
  strcpy(tar.path, ".");
  if (fchdir(dir) != 0) {
    return -1;
  }
  walk(&tar, 0);
  return finish(&tar);
}

int layer_create(int out, const char *upper) {
  char path[128];
  memset(&tar, 0, sizeof tar);
  tar.out = out, tar.prefix = "", tar.layer = true;
  strcpy(tar.path, ".");
  if (upper == NULL && upper_path(path, sizeof path) == 0) {
    upper = path;
  }
  sync();
  if (upper == NULL || chdir(upper) != 0) {
    return fail("there is no writable layer");
  }
  walk(&tar, 0);
  return finish(&tar);
}

/* As docker's archive of a path: entries begin with its base name. */
int tar_create(int out, const char *path, bool follow) {
  static char base[256];
  int root = open(host_test ? "/" : SYSROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  char parent[PATH_MAX], link[FD_PATH];
  snprintf(parent, sizeof parent, "%s", path);
  memset(&tar, 0, sizeof tar);
  tar.out = out;
  for (size_t n = strlen(parent); n > 1 && parent[n - 1] == '/'; n--) {
    parent[n - 1] = 0;
  }
  char *slash = strrchr(parent, '/');
  snprintf(base, sizeof base, "%.255s", slash == NULL ? parent : slash + 1);
  int fd = rooted_open(root, parent, O_PATH | (follow ? 0 : O_NOFOLLOW));
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) {
    return fail("%s: %s", path, errno == ENOENT ? "no such file or directory" : strerror(errno));
  }
  if (S_ISDIR(st.st_mode)) {
    tar.prefix = base[0] == 0 ? "." : base;
    strcpy(tar.path, ".");
    return fchdir(fd) != 0 ? fail("%s: %s", path, strerror(errno)) : (walk(&tar, 0), finish(&tar));
  }
  if (follow && S_ISREG(st.st_mode)) {
    /* The name asked for, the content of what it leads to. */
    int file = open(fd_path(fd, link), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    put_header(&tar, base, &st, '0', NULL, (uint64_t)st.st_size);
    put_content(&tar, file, (uint64_t)st.st_size);
    return finish(&tar);
  }
  if (slash != NULL) {
    *slash = 0;
  }
  int dir = rooted_open(root, parent[0] == 0 ? "/" : parent, O_PATH | O_DIRECTORY);
  tar.prefix = "";
  strcpy(tar.path, base);
  return dir < 0 || fchdir(dir) != 0 ? fail("%s: %s", path, strerror(errno)) : (walk(&tar, 0), finish(&tar));
}
