#include "step/step_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/rooted.h"
#include "lib/files.h"
#include "step/step_cache.h"
#include "step/step_release.h"
#include "step/step_source.h"

/* Secrets and scripts are in memory that only this step sees. */
static int open_file(const struct step_mount *m, size_t index) {
  char path[64];
  snprintf(path, sizeof path, STEP "/f%zu", index);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool ok = fd >= 0 && (m->length == 0 || write(fd, m->content, m->length) == (ssize_t)m->length) && fchown(fd, m->uid, m->gid) == 0 &&
            fchmod(fd, m->has_mode ? m->mode & 07777 : 0400) == 0;
  if (fd >= 0) {
    close(fd);
  }
  return ok ? open(path, O_PATH | O_CLOEXEC) : step_problem(m, "writing the file");
}

/* Writes to it go to a folder that is thrown away after the step. */
static int overlay(const struct step_mount *m, size_t index, int lower) {
  char options[512], path[128], link[FD_PATH];
  struct stat st;
  snprintf(path, sizeof path, SCRATCH "/%zu/w", index);
  int made = make_dirs(path, 0755);
  snprintf(path, sizeof path, SCRATCH "/%zu/u", index);
  made = made == 0 ? make_dirs(path, 0755) : made;
  made = made == 0 && fstat(lower, &st) == 0 && chown(path, st.st_uid, st.st_gid) == 0 ? chmod(path, st.st_mode & 07777) : -1;
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=" SCRATCH "/%zu/u,workdir=" SCRATCH "/%zu/w", fd_path(lower, link), index, index);
  snprintf(path, sizeof path, STEP "/o%zu", index);
  if (made != 0 || make_dirs(path, 0755) != 0 || mount("overlay", path, "overlay", 0, options) != 0) {
    return step_problem(m, "making it writable");
  }
  return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A folder or a file. For a writable file the overlay is over its folder. */
static int open_bind(const struct step_mount *m, size_t index) {
  char base[4096], folder[4096];
  struct stat st;
  if (step_content(m, m->kind, m->source, base, sizeof base) != 0) {
    return -1;
  }
  int fd = step_open(m, base, m->path, O_PATH);
  if (fd < 0 || !m->writable || fstat(fd, &st) != 0) {
    return fd;
  }
  const char *name = m->path == NULL ? NULL : strrchr(m->path, '/');
  close(fd);
  if (S_ISDIR(st.st_mode)) {
    int lower = step_open(m, base, m->path, O_RDONLY | O_DIRECTORY);
    return lower < 0 ? -1 : overlay(m, index, lower);
  }
  snprintf(folder, sizeof folder, "%.*s", name == NULL ? 1 : (int)(name - m->path) + 1, name == NULL ? "/" : m->path);
  int lower = step_open(m, base, folder, O_RDONLY | O_DIRECTORY), top = lower < 0 ? -1 : overlay(m, index, lower);
  fd = top < 0 ? -1 : rooted_open(top, name == NULL ? m->path : name + 1, O_PATH);
  return fd >= 0 ? fd : step_problem(m, "its file");
}

static int open_socket(const struct step_mount *m) {
  char path[160];
  snprintf(path, sizeof path, SOCKETS "/%s", m->source);
  int fd = is_plain_name(m->source) ? open(path, O_PATH | O_CLOEXEC) : -1;
  return fd >= 0 ? fd : step_problem(m, "its socket");
}

static int mount_tmpfs_at(int root, const struct step_mount *m) {
  char options[64] = "", target[FD_PATH];
  if (m->size > 0) {
    snprintf(options, sizeof options, "size=%llu", (unsigned long long)m->size);
  }
  int fd = rooted_make(root, m->target, true, 0755, step_remember_stub);
  int result = fd < 0 ? -1 : mount("tmpfs", fd_path(fd, target), "tmpfs", MS_NOSUID | (m->writable ? 0 : MS_RDONLY), options);
  if (fd >= 0) {
    close(fd);
  }
  return result == 0 ? 0 : step_problem(m, "the tmpfs");
}

static int bind_source(int root, const struct step_mount *m, int source) {
  struct stat st;
  char from[FD_PATH], to[FD_PATH];
  bool folder = fstat(source, &st) == 0 && S_ISDIR(st.st_mode);
  int target = rooted_make(root, m->target, folder, folder ? 0755 : 0644, step_remember_stub);
  if (target < 0) {
    return step_problem(m, "making the mount point");
  }
  int result = mount(fd_path(source, from), fd_path(target, to), NULL, MS_BIND, NULL);
  close(target);
  if (result == 0 && !m->writable) {
    /* The same path leads to the new mount now. */
    target = rooted_open(root, m->target, O_PATH);
    result = target < 0 ? -1 : mount(NULL, fd_path(target, to), NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
    close(target);
  }
  return result == 0 ? 0 : step_problem(m, "binding it");
}

static int mount_one(int root, const struct step_mount *m, size_t index) {
  int source;
  switch (m->kind) {
    case STEP_SOURCE_TMPFS: return mount_tmpfs_at(root, m);
    case STEP_SOURCE_CACHE: source = step_open_cache(m); break;
    case STEP_SOURCE_FILE: source = open_file(m, index); break;
    case STEP_SOURCE_SOCKET: source = open_socket(m); break;
    default: source = open_bind(m, index); break;
  }
  int result = source < 0 ? -1 : bind_source(root, m, source);
  if (source >= 0) {
    close(source);
  }
  return result;
}

const char *step_mount_all(const struct step_mount *mounts, size_t count) {
  if (count == 0) {
    return NULL;
  }
  if (make_dirs(STEP, 0700) != 0 || mount("tmpfs", STEP, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") != 0) {
    return "there is no room for the mounts of the step";
  }
  int root = open(SYSROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = root < 0 ? -1 : 0;
  for (size_t i = 0; result == 0 && i < count; i++) {
    result = mount_one(root, &mounts[i], i);
  }
  if (root >= 0) {
    close(root);
  }
  const char *problem = step_first_problem();
  return result == 0 ? NULL : problem != NULL ? problem : "the mounts of the step could not be made";
}
