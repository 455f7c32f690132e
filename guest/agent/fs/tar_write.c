/*
 * POSIX ustar with PAX headers for what does not fit (POSIX.1-2008 pax). In layer mode the upper folder of an overlay
 * becomes an OCI layer: whiteouts as .wh. files, overlayfs's own attributes left out (OCI image-spec, layer.md).
 */
#include "fs/tar_write.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/rooted.h"
#include "fs/tar_put.h"
#include "lib/failure.h"
#include "lib/host_test.h"
#include "lib/overlay.h"
#include "lib/paths.h"

enum { MAX_DEPTH = 512 };

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

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

/* Mount points that the agent made are not the build's work, and neither are the folders that overlayfs copied up to
 * hold them: overlayfs keeps their times, and restore_time does after the mount points. */
static bool is_stub(struct tar *t, const struct stat *st, int depth) {
  if (S_ISREG(st->st_mode)) {
    return st->st_size == 0 && was_created(t->path);
  }
  return S_ISDIR(st->st_mode) && !is_opaque(t->path) && (was_created(t->path) || same_below(t->path, st)) && only_stubs(t, depth);
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
    t->failed = fail(REASON_ARCHIVE, "folders are nested too deeply at %.200s", t->path) != 0;
    return;
  }
  full_name(t, S_ISDIR(st.st_mode), name, sizeof name);
  if (!S_ISDIR(st.st_mode)) {
    if (S_ISREG(st.st_mode)) {
      tar_put_file(t, name, &st);
    } else {
      tar_put_other(t, name, &st);
    }
    return;
  }
  if (!top || t->prefix[0] != 0) {
    tar_put_xattrs(t, t->path);
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

int layer_create(int out) {
  char upper[128];
  memset(&tar, 0, sizeof tar);
  tar.out = out, tar.prefix = "", tar.layer = true;
  strcpy(tar.path, ".");
  sync();
  if (upper_path(upper, sizeof upper) != 0 || chdir(upper) != 0) {
    return fail(REASON_ARCHIVE, "there is no writable layer");
  }
  walk(&tar, 0);
  return finish(&tar);
}

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
    return fail(path_reason(errno, REASON_ARCHIVE), "%s: %s", path, errno == ENOENT ? "no such file or directory" : strerror(errno));
  }
  if (S_ISDIR(st.st_mode)) {
    tar.prefix = base[0] == 0 ? "." : base;
    strcpy(tar.path, ".");
    return fchdir(fd) != 0 ? fail(path_reason(errno, REASON_ARCHIVE), "%s: %s", path, strerror(errno)) : (walk(&tar, 0), finish(&tar));
  }
  if (follow && S_ISREG(st.st_mode)) {
    /* The name asked for, the content of what it leads to. */
    int file = open(fd_path(fd, link), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    tar_put_header(&tar, base, &st, '0', NULL, (uint64_t)st.st_size);
    tar_put_content(&tar, file, (uint64_t)st.st_size);
    return finish(&tar);
  }
  if (slash != NULL) {
    *slash = 0;
  }
  int dir = rooted_open(root, parent[0] == 0 ? "/" : parent, O_PATH | O_DIRECTORY);
  tar.prefix = "";
  strcpy(tar.path, base);
  return dir < 0 || fchdir(dir) != 0 ? fail(path_reason(errno, REASON_ARCHIVE), "%s: %s", path, strerror(errno)) : (walk(&tar, 0), finish(&tar));
}
