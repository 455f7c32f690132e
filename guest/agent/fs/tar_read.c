/*
 * Every parent is opened with RESOLVE_IN_ROOT, every last name is used on that descriptor without following links:
 * nothing that an archive says can lead out of the root.
 */
#include "fs/tar_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/remove.h"
#include "fs/rooted.h"
#include "fs/tar_stream.h"
#include "lib/failure.h"
#include "lib/host_test.h"
#include "lib/paths.h"

struct folder {
  char *name;
  int64_t mtime;
};

struct reader {
  struct tar_stream stream;
  int root;
  bool layer, consumed;
  /* Times of folders are set at the end, when nothing is put into them any more. */
  struct folder *folders;
  size_t folder_count;
};

static struct reader reader;

static int problem_errno(const struct reader *r) { return tar_problem(&r->stream, errno == ENOSPC ? "no space left on the disk" : strerror(errno)); }

/* The folder that holds `path`, made if missing; `name` is the last part. */
static int open_parent(const struct reader *r, const char *path, bool make, const char **name) {
  char parent[TAR_NAME];
  const char *slash = strrchr(path, '/');
  *name = slash == NULL ? path : slash + 1;
  snprintf(parent, sizeof parent, "%.*s", slash == NULL ? 0 : (int)(slash - path), path);
  return make ? rooted_make(r->root, parent, true, 0755, NULL) : rooted_open(r->root, parent, O_PATH | O_DIRECTORY);
}

/* Removes what is in the way, except a folder that stays a folder. A layer may replace a folder, a copy may not. */
static int clear_place(const struct reader *r, int dir, const char *name) {
  struct stat st;
  if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? 0 : -1;
  }
  if (S_ISDIR(st.st_mode)) {
    errno = EISDIR;
    return r->stream.entry.type == '5' ? 0 : r->layer ? remove_tree(dir, name) : -1;
  }
  return unlinkat(dir, name, 0);
}

static int write_content(struct reader *r, int dir, const char *name) {
  int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  uint64_t left = r->stream.entry.size;
  r->consumed = fd >= 0;
  while (fd >= 0 && left > 0) {
    size_t got;
    const uint8_t *data = tar_take(&r->stream, left < TAR_BUFFER ? (size_t)left : TAR_BUFFER, &got);
    if (data == NULL) {
      close(fd);
      errno = EPIPE;
      return -1;
    }
    left -= got;
    while (got > 0) {
      ssize_t n = write(fd, data, got);
      if (n < 0 && errno != EINTR) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
      }
      data += n > 0 ? n : 0, got -= n > 0 ? (size_t)n : 0;
    }
  }
  return fd < 0 ? -1 : close(fd);
}

static int make_link(const struct reader *r, int dir, const char *name) {
  char target[TAR_NAME];
  const char *last;
  snprintf(target, sizeof target, "%s", r->stream.entry.link);
  if (!tar_clean_name(target) || target[0] == 0) {
    errno = EINVAL;
    return -1;
  }
  int parent = open_parent(r, target, false, &last);
  int result = parent < 0 ? -1 : linkat(parent, last, dir, name, 0);
  if (parent >= 0) {
    close(parent);
  }
  return result;
}

static int make_entry(struct reader *r, int dir, const char *name) {
  const struct tar_entry *e = &r->stream.entry;
  dev_t device = makedev(e->major, e->minor);
  switch (e->type) {
    case '0': return write_content(r, dir, name);
    case '1': return make_link(r, dir, name);
    case '2': return symlinkat(e->link, dir, name);
    case '3': return mknodat(dir, name, S_IFCHR | 0600, device);
    case '4': return mknodat(dir, name, S_IFBLK | 0600, device);
    case '5': return mkdirat(dir, name, 0700) == 0 || errno == EEXIST ? 0 : -1;
    case '6': return mknodat(dir, name, S_IFIFO | 0600, 0);
  }
  errno = EOPNOTSUPP;
  return -1;
}

static int set_xattrs(const struct reader *r, const char *path) {
  const char *at = r->stream.pax, *end = r->stream.pax + r->stream.pax_length, *key, *value;
  size_t key_length, value_length;
  while (pax_next(&at, end, &key, &key_length, &value, &value_length)) {
    char name[300];
    if (key_length > 13 && key_length - 13 < sizeof name && memcmp(key, "SCHILY.xattr.", 13) == 0) {
      snprintf(name, sizeof name, "%.*s", (int)(key_length - 13), key + 13);
      bool overlay = strncmp(name, "trusted.overlay.", 16) == 0;
      if (!overlay && lsetxattr(path, name, value, value_length, 0) != 0 && errno != ENOTSUP && errno != EPERM) {
        return -1;
      }
    }
  }
  return 0;
}

static void remember_folder(struct reader *r) {
  if ((r->folder_count & (r->folder_count - 1)) == 0) {
    struct folder *bigger = realloc(r->folders, (r->folder_count == 0 ? 64 : r->folder_count * 2 < 64 ? 64 : r->folder_count * 2) * sizeof *bigger);
    if (bigger == NULL) {
      return;
    }
    r->folders = bigger;
  }
  r->folders[r->folder_count++] = (struct folder){strdup(r->stream.entry.name), r->stream.entry.mtime};
}

/* Owner before mode, because chown clears setuid; attributes after both, because chown clears capabilities. */
static int set_attributes(struct reader *r, int dir, const char *name) {
  const struct tar_entry *e = &r->stream.entry;
  struct timespec times[2] = {{e->mtime, 0}, {e->mtime, 0}};
  char link[FD_PATH], path[FD_PATH + 256];
  if (fchownat(dir, name, (uid_t)e->uid, (gid_t)e->gid, AT_SYMLINK_NOFOLLOW) != 0 && geteuid() == 0) {
    return -1;
  }
  if (e->type != '2' && fchmodat(dir, name, e->mode, 0) != 0) {
    return -1;
  }
  snprintf(path, sizeof path, "%s/%s", fd_path(dir, link), name);
  if (set_xattrs(r, path) != 0) {
    return -1;
  }
  if (e->type == '5') {
    remember_folder(r);
  } else {
    utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
  }
  return 0;
}

/* .wh..wh..opq empties its folder of what is below; .wh.x removes x. True if the entry was one. */
static bool apply_whiteout(struct reader *r, int dir, const char *name, int *result) {
  if (!r->layer || strncmp(name, ".wh.", 4) != 0) {
    return false;
  }
  *result = strcmp(name, ".wh..wh..opq") == 0 ? empty_folder(dir) : strncmp(name, ".wh..wh.", 8) == 0 ? 0 : remove_tree(dir, name + 4);
  return true;
}

static int extract_entry(struct reader *r) {
  const char *name;
  int result = 0;
  if (!tar_clean_name(r->stream.entry.name)) {
    return tar_problem(&r->stream, "its path leaves the folder");
  }
  if (r->stream.entry.name[0] == 0) {
    return 0;
  }
  int dir = open_parent(r, r->stream.entry.name, true, &name);
  if (dir < 0) {
    return problem_errno(r);
  }
  if (!apply_whiteout(r, dir, name, &result)) {
    result = clear_place(r, dir, name) == 0 && make_entry(r, dir, name) == 0 && (r->stream.entry.type == '1' || set_attributes(r, dir, name) == 0) ? 0 : -1;
  }
  result = result == 0 ? 0 : problem_errno(r);
  close(dir);
  return result;
}

static void set_folder_times(struct reader *r) {
  while (r->folder_count > 0) {
    const struct folder *folder = &r->folders[--r->folder_count];
    struct timespec times[2] = {{folder->mtime, 0}, {folder->mtime, 0}};
    int fd = folder->name == NULL ? -1 : rooted_open(r->root, folder->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd >= 0) {
      futimens(fd, times);
      close(fd);
    }
    free(folder->name);
  }
}

static int extract(int in, int root, bool layer) {
  memset(&reader, 0, sizeof reader);
  reader.stream.in = in, reader.root = root, reader.layer = layer;
  umask(0);
  int result;
  while ((result = tar_next(&reader.stream)) == 1) {
    if (reader.stream.entry.type < '0' || reader.stream.entry.type > '6') {
      return tar_problem(&reader.stream, "a kind of entry that is not supported");
    }
    /* Whatever their size field says, links, nodes and folders have no content. */
    uint64_t size = reader.stream.entry.type == '0' ? reader.stream.entry.size : 0;
    reader.consumed = false;
    if (extract_entry(&reader) != 0) {
      return -1;
    }
    if (!tar_skip(&reader.stream, (reader.consumed ? 0 : size) + tar_padding(size))) {
      return fail(REASON_ARCHIVE, "the tar stream ends early");
    }
  }
  set_folder_times(&reader);
  while (result == 0 && tar_skip(&reader.stream, TAR_BUFFER)) {
  }
  return result;
}

int tree_extract(int in, int root) { return extract(in, root, false); }

int tree_extract_layer(int in, const char *path) {
  int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return root < 0 ? fail(path_reason(errno, REASON_ARCHIVE), "%s: %s", path, strerror(errno)) : extract(in, root, true);
}

int tar_extract(int in, const char *target) {
  int root = open(host_test ? "/" : SYSROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int place = rooted_make(root, target, true, 0755, NULL);
  char link[FD_PATH];
  int dir = place < 0 ? -1 : open(fd_path(place, link), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return dir < 0 ? fail(path_reason(errno, REASON_ARCHIVE), "%s: %s", target, strerror(errno)) : extract(in, dir, false);
}
