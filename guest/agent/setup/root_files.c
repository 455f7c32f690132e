#include "setup/root_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "fs/rooted.h"
#include "lib/failure.h"
#include "lib/fork.h"
#include "lib/host_test.h"
#include "lib/paths.h"
#include "setup/bind.h"

#define FILES PRIVATE "/files"

static void file_store(const char *path, char *out, size_t size) {
  uint64_t hash = 14695981039346656037u;
  for (const char *at = path; *at != 0; at++) {
    hash = (hash ^ (uint8_t)*at) * 1099511628211u;
  }
  snprintf(out, size, FILES "/%016llx", (unsigned long long)hash);
}

/* The workload may have been started before: what is new must be mounted in its view, too. A job has none of PID 1's
 * descriptors, so the namespace is opened here. */
static int show_to(pid_t pid, int tree, const char *path) {
  int ns = open_ns(pid, "mnt");
  return ns < 0 ? 0 : move_into(tree, ns, path);
}

static int bind_file(const char *store, const struct file_spec *file, pid_t viewer) {
  int tree = viewer > 0 ? (int)syscall(SYS_open_tree, AT_FDCWD, store, 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC) : -1;
  int source = open(store, O_PATH | O_CLOEXEC), root = open(SYSROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int result = bind_at(root, file->path, file->read_only, source);
  close(root);
  close(source);
  result = result == 0 && tree >= 0 ? show_to(viewer, tree, file->path) : result;
  if (tree >= 0) {
    close(tree);
  }
  return result;
}

/* Whether our file is what is seen at its path: a volume that was mounted later may lie over it. */
static bool is_shown(const char *store, const char *path) {
  struct stat ours, there;
  int root = open(SYSROOT, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = rooted_open(root, path, O_PATH);
  bool same = fd >= 0 && fstat(fd, &there) == 0 && stat(store, &ours) == 0 && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
  if (fd >= 0) {
    close(fd);
  }
  close(root);
  return same;
}

void take_files_away(const struct file_spec *files, size_t count) {
  int root = open(SYSROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
  for (size_t i = 0; i < count; i++) {
    char store[128], place[FD_PATH];
    file_store(files[i].path, store, sizeof store);
    int fd = is_shown(store, files[i].path) ? rooted_open(root, files[i].path, O_PATH) : -1;
    if (fd >= 0) {
      umount2(fd_path(fd, place), MNT_DETACH);
      close(fd);
    }
  }
  close(root);
}

/* Skips what is done already: each system call costs an emulated guest time. */
static int write_store(const char *store, const struct file_spec *file) {
  struct stat st;
  /* Never readable to more than its mode says, not even while it is written. */
  int fd = open(store, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), error;
  if (fd < 0 && errno == ENOENT && mkdir(FILES, 0700) == 0) {
    fd = open(store, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  }
  bool ok = fd >= 0 && fstat(fd, &st) == 0 && (st.st_size == 0 || ftruncate(fd, 0) == 0) &&
            (file->length == 0 || write(fd, file->content, file->length) == (ssize_t)file->length);
  bool owned = ok && st.st_uid == file->uid && st.st_gid == file->gid;
  ok = ok && (owned || fchown(fd, file->uid, file->gid) == 0) &&
       ((owned && (st.st_mode & 07777) == (file->mode & 07777)) || fchmod(fd, file->mode & 07777) == 0);
  error = ok ? 0 : errno;
  if (fd >= 0) {
    close(fd);
  }
  return error;
}

/* A regular file of the root itself: what a volume or a file of the service's lies over is not ours to change. */
static int open_in_layer(const char *path, int flags, struct stat *st) {
  struct statfs fs;
  int root = open(SYSROOT, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = rooted_open(root, path, flags | O_NONBLOCK | O_NOCTTY);
  close(root);
  if (fd >= 0 && (fstat(fd, st) != 0 || !S_ISREG(st->st_mode) || fstatfs(fd, &fs) != 0 || fs.f_type != OVERLAYFS_SUPER_MAGIC)) {
    close(fd);
    return -1;
  }
  return fd;
}

static bool holds(int fd, size_t size, const struct file_spec *file, bool *ends_line) {
  uint8_t *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (bytes == MAP_FAILED) {
    return true;
  }
  bool found = memmem(bytes, size, file->content, file->length) != NULL;
  *ends_line = bytes[size - 1] == '\n';
  munmap(bytes, size);
  return found;
}

/* Whole or not at all. It is no reason to refuse a start: what has no room for it has no room for anything else either. */
static void append_file(const struct file_spec *file) {
  enum { LARGEST = 16 << 20 };
  struct stat st;
  bool ends_line = true;
  int fd = open_in_layer(file->path, O_RDONLY, &st);
  bool wanted = fd >= 0 && file->length > 0 && st.st_size < LARGEST && (st.st_size == 0 || !holds(fd, (size_t)st.st_size, file, &ends_line));
  if (fd >= 0) {
    close(fd);
  }
  fd = wanted ? open_in_layer(file->path, O_WRONLY | O_APPEND, &st) : -1;
  if (fd < 0) {
    return;
  }
  bool ok = (ends_line || write(fd, "\n", 1) == 1) && write(fd, file->content, file->length) == (ssize_t)file->length;
  if (!ok && ftruncate(fd, st.st_size) != 0) {
    /* Nothing more can be done: the next start finds it incomplete and adds it again. */
  }
  close(fd);
}

int write_files(const struct file_spec *files, size_t count, pid_t viewer, unsigned reason) {
  if (host_test) {
    return 0;
  }
  for (size_t i = 0; i < count; i++) {
    char store[128];
    if (files[i].append) {
      append_file(&files[i]);
      continue;
    }
    file_store(files[i].path, store, sizeof store);
    int error = write_store(store, &files[i]);
    if (error != 0) {
      return fail(reason, "writing %s: %s", files[i].path, strerror(error));
    }
    if (!is_shown(store, files[i].path) && bind_file(store, &files[i], viewer) != 0) {
      return -1;
    }
  }
  return 0;
}
