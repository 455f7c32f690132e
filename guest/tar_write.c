/*
 * Trees as tar streams: POSIX ustar with PAX headers for what does not fit (POSIX.1-2008 pax), extended
 * attributes as SCHILY.xattr, hard links, sorted names. In layer mode the upper of an overlay becomes an OCI layer:
 * whiteouts as .wh. files, overlayfs's own attributes left out (OCI image-spec, layer.md).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kestrel.h"
#include "rooted.h"
#include "tar_format.h"
#include "tree.h"

enum { MAX_DEPTH = 512, MAX_XATTR = 64 << 10 };

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
    tar_put_header(t, name, st, '1', first, 0);
    return;
  }
  int fd = open(t->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    t->failed = errno != ENOENT && fail("reading %s: %s", t->path, strerror(errno)) != 0;
    return;
  }
  add_xattrs(t, t->path);
  tar_put_header(t, name, st, '0', NULL, (uint64_t)st->st_size);
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
    tar_put_header(t, name, st, '1', first, 0);
    return;
  }
  ssize_t n = type == '2' ? readlink(t->path, target, sizeof target - 1) : 0;
  if (type == 0 || n < 0) {
    return;
  }
  target[n] = 0;
  add_xattrs(t, t->path);
  tar_put_header(t, name, st, type, type == '2' ? target : NULL, 0);
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
    tar_put_header(t, name, &st, '5', NULL, 0);
    if (t->layer && is_opaque(t->path)) {
      struct stat none = {.st_mode = S_IFREG | 0644};
      strcat(name, ".wh..wh..opq");
      tar_put_header(t, name, &none, '0', NULL, 0);
    }
  }
  walk_below(t, depth);
}

static int finish(struct tar *t) {
  static const uint8_t end[2 * BLOCK];
  tar_put(t, end, sizeof end);
  tar_flush(t);
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
    tar_put_header(&tar, base, &st, '0', NULL, (uint64_t)st.st_size);
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
