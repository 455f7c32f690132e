/* What one step of a build has mounted. All of it lives in the mount namespace of the step's program and goes with
 * it; what has to be there for it outside (mount points, scratch folders) is taken away by step_release. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>

#include "kestrel.h"
#include "rooted.h"
#include "tree.h"

/* On the writable disk: contents from the host, and the upper folders of writable binds. */
#define STAGED PRIVATE "/layers/staged"
#define SCRATCH PRIVATE "/layers/scratch"
#define STEP PRIVATE "/step"
#define STUBS PRIVATE "/stubs"
enum { MAX_STUBS = 4096, RELEASE_TRIES = 2000, RELEASE_PAUSE_US = 5000 };

/* The first thing that goes wrong is the one to report. */
static char problem[512];

static int trouble(const struct step_mount *order, const char *what) {
  snprintf(problem, sizeof problem, "mounting %s: %s: %s", order->target, what, strerror(errno));
  return -1;
}

static void remember_stub(const char *path, size_t length) {
  int fd = open(STUBS, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  char line[4098];
  int n = snprintf(line, sizeof line, "%.*s\n", (int)length, path);
  if (fd >= 0) {
    if (write(fd, line, (size_t)n) < 0) {
      errno = 0;
    }
    close(fd);
  }
}

static bool is_name(const char *name) { return name != NULL && name[0] != 0 && name[0] != '.' && strchr(name, '/') == NULL; }

/* A disk is mounted once in a step, however many places it has. */
static int mount_device(const struct step_mount *order, const char *serial, bool image, char *out, size_t size) {
  char device[64];
  struct stat own, parent;
  snprintf(out, size, STEP "/%s", serial);
  if (!is_name(serial)) {
    errno = EINVAL;
    return trouble(order, "the name of a disk");
  }
  if (stat(out, &own) == 0 && stat(STEP, &parent) == 0 && own.st_dev != parent.st_dev) {
    return 0;
  }
  if (!find_disk(serial, device, sizeof device)) {
    errno = ENODEV;
    return trouble(order, serial);
  }
  if (make_dirs(out, 0755) != 0 || (image ? mount(device, out, "erofs", MS_RDONLY, NULL) : mount_writable(device, out)) != 0) {
    return trouble(order, "its disk");
  }
  return 0;
}

/* Copies a tree with owners, modes and links. */
static bool copy_tree(int from, int to) {
  int pipes[2], status = 0;
  if (pipe2(pipes, O_CLOEXEC) != 0) {
    return false;
  }
  pid_t pid = fork();
  if (pid == 0) {
    close(pipes[0]);
    _exit(tree_write(pipes[1], from) == 0 ? 0 : 1);
  }
  close(pipes[1]);
  bool ok = pid > 0 && tree_extract(pipes[0], to) == 0;
  close(pipes[0]);
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && ok;
}

static int base_of(const struct step_mount *order, enum step_source kind, const char *source, char *out, size_t size) {
  switch (kind) {
    case SOURCE_STAGED:
      snprintf(out, size, STAGED "/%s", source);
      errno = EINVAL;
      return is_name(source) ? 0 : trouble(order, "its content");
    case SOURCE_IMAGE: return mount_device(order, source, true, out, size);
    default: errno = EINVAL; return trouble(order, "its kind");
  }
}

static int open_below(const struct step_mount *order, const char *base, const char *below, int flags) {
  int root = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int fd = root < 0 ? -1 : rooted_open(root, below == NULL ? "/" : below, flags);
  if (fd < 0) {
    trouble(order, below == NULL ? "its content" : below);
  }
  if (root >= 0) {
    close(root);
  }
  return fd;
}

/* A cache begins empty or as a copy; it counts as made only when it is complete. */
static int make_cache(const struct step_mount *order, int disk) {
  struct stat st;
  int error = 0;
  if (remove_tree(disk, "_new") != 0 || mkdirat(disk, "_new", 0755) != 0) {
    return trouble(order, "making the cache");
  }
  int data = openat(disk, "_new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  mode_t mode = order->has_mode ? order->mode & 07777 : 0755;
  if (order->seed != NULL) {
    char base[4096];
    int from = base_of(order, order->seed_kind, order->seed, base, sizeof base) == 0 ? open_below(order, base, order->seed_path, O_RDONLY | O_DIRECTORY) : -1;
    error = from < 0 || fstat(from, &st) != 0 || !copy_tree(from, data) || fchown(data, st.st_uid, st.st_gid) != 0;
    mode = error == 0 && !order->has_mode ? st.st_mode & 07777 : mode;
    if (from >= 0) {
      close(from);
    }
  }
  if (error == 0 && (order->seed == NULL || order->uid != 0 || order->gid != 0)) {
    error = fchown(data, order->uid, order->gid);
  }
  error = error != 0 || fchmod(data, mode) != 0 || renameat(disk, "_new", disk, "_data") != 0;
  close(data);
  return error == 0 ? 0 : problem[0] != 0 ? -1 : trouble(order, "making the cache");
}

static int open_cache(const struct step_mount *order) {
  char base[4096];
  if (mount_device(order, order->source, false, base, sizeof base) != 0) {
    return -1;
  }
  int disk = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int data = openat(disk, "_data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (data < 0 && errno == ENOENT && make_cache(order, disk) == 0) {
    data = openat(disk, "_data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  if (data < 0 && problem[0] == 0) {
    trouble(order, "opening the cache");
  }
  close(disk);
  return data;
}

/* Secrets and scripts: on memory that only this step has. */
static int open_file(const struct step_mount *order, size_t index) {
  char path[64];
  snprintf(path, sizeof path, STEP "/f%zu", index);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool ok = fd >= 0 && (order->length == 0 || write(fd, order->content, order->length) == (ssize_t)order->length) && fchown(fd, order->uid, order->gid) == 0 &&
            fchmod(fd, order->has_mode ? order->mode & 07777 : 0400) == 0;
  if (fd >= 0) {
    close(fd);
  }
  return ok ? open(path, O_PATH | O_CLOEXEC) : trouble(order, "writing the file");
}

/* Writes to it go to a folder that is thrown away after the step. */
static int overlay(const struct step_mount *order, size_t index, int lower) {
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
    return trouble(order, "making it writable");
  }
  return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A folder or a file; of a writable file its folder is laid over. */
static int open_bind(const struct step_mount *order, size_t index) {
  char base[4096], folder[4096];
  struct stat st;
  if (base_of(order, order->kind, order->source, base, sizeof base) != 0) {
    return -1;
  }
  int fd = open_below(order, base, order->path, O_PATH);
  if (fd < 0 || !order->writable || fstat(fd, &st) != 0) {
    return fd;
  }
  const char *name = order->path == NULL ? NULL : strrchr(order->path, '/');
  close(fd);
  if (S_ISDIR(st.st_mode)) {
    int lower = open_below(order, base, order->path, O_RDONLY | O_DIRECTORY);
    return lower < 0 ? -1 : overlay(order, index, lower);
  }
  snprintf(folder, sizeof folder, "%.*s", name == NULL ? 1 : (int)(name - order->path) + 1, name == NULL ? "/" : order->path);
  int lower = open_below(order, base, folder, O_RDONLY | O_DIRECTORY), top = lower < 0 ? -1 : overlay(order, index, lower);
  fd = top < 0 ? -1 : rooted_open(top, name == NULL ? order->path : name + 1, O_PATH);
  return fd >= 0 || problem[0] != 0 ? fd : trouble(order, "its file");
}

static int open_socket(const struct step_mount *order) {
  char path[160];
  snprintf(path, sizeof path, SOCKETS "/%s", order->source);
  int fd = is_name(order->source) ? open(path, O_PATH | O_CLOEXEC) : -1;
  return fd >= 0 ? fd : trouble(order, "its socket");
}

static int mount_tmpfs_at(int root, const struct step_mount *order) {
  char options[64] = "", target[FD_PATH];
  if (order->size > 0) {
    snprintf(options, sizeof options, "size=%llu", (unsigned long long)order->size);
  }
  int fd = rooted_make(root, order->target, true, 0755, remember_stub);
  int result = fd < 0 ? -1 : mount("tmpfs", fd_path(fd, target), "tmpfs", MS_NOSUID | (order->writable ? 0 : MS_RDONLY), options);
  if (fd >= 0) {
    close(fd);
  }
  return result == 0 ? 0 : trouble(order, "the tmpfs");
}

static int bind_source(int root, const struct step_mount *order, int source) {
  struct stat st;
  char from[FD_PATH], to[FD_PATH];
  bool folder = fstat(source, &st) == 0 && S_ISDIR(st.st_mode);
  int target = rooted_make(root, order->target, folder, folder ? 0755 : 0644, remember_stub);
  if (target < 0) {
    return trouble(order, "making the mount point");
  }
  int result = mount(fd_path(source, from), fd_path(target, to), NULL, MS_BIND, NULL);
  close(target);
  if (result == 0 && !order->writable) {
    /* The same path leads to the new mount now. */
    target = rooted_open(root, order->target, O_PATH);
    result = target < 0 ? -1 : mount(NULL, fd_path(target, to), NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
    close(target);
  }
  return result == 0 ? 0 : trouble(order, "binding it");
}

static int mount_one(int root, const struct step_mount *order, size_t index) {
  int source;
  switch (order->kind) {
    case SOURCE_TMPFS: return mount_tmpfs_at(root, order);
    case SOURCE_CACHE: source = open_cache(order); break;
    case SOURCE_FILE: source = open_file(order, index); break;
    case SOURCE_SOCKET: source = open_socket(order); break;
    default: source = open_bind(order, index); break;
  }
  int result = source < 0 ? -1 : bind_source(root, order, source);
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
  return result == 0 ? NULL : problem[0] != 0 ? problem : "the mounts of the step could not be made";
}

int step_stage(const char *name) {
  char path[4096], aside[300];
  if (!is_name(name) || strlen(name) > 200) {
    return fail("the name of a staged folder is not one");
  }
  snprintf(aside, sizeof aside, ".%s", name);
  if (host_test) {
    return tree_extract_layer(0, "/dev/null");
  }
  int staged = make_dirs(STAGED, 0700) == 0 ? open(STAGED, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (staged < 0 || remove_tree(staged, aside) != 0 || mkdirat(staged, aside, 0755) != 0) {
    return fail("making the folder for what the step mounts: %s", strerror(errno));
  }
  int dir = openat(staged, aside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0 || tree_extract(0, dir) != 0) {
    return -1;
  }
  snprintf(path, sizeof path, "%s", name);
  return remove_tree(staged, path) == 0 && renameat(staged, aside, staged, path) == 0 ? 0 : fail("keeping what the step mounts: %s", strerror(errno));
}

/* Mount points that are still empty go again, the innermost first. */
static void remove_stubs(void) {
  static char *lines[MAX_STUBS];
  char line[4098];
  size_t count = 0;
  FILE *file = fopen(STUBS, "re");
  int root = open(SYSROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (file != NULL && count < MAX_STUBS && fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = 0;
    lines[count++] = strdup(line);
  }
  while (count > 0) {
    char *path = lines[--count], *slash = path == NULL ? NULL : strrchr(path, '/');
    struct stat st;
    if (slash != NULL && slash[1] != 0) {
      *slash = 0;
      int parent = rooted_open(root, path[0] == 0 ? "/" : path, O_RDONLY | O_DIRECTORY);
      if (parent >= 0 && fstatat(parent, slash + 1, &st, AT_SYMLINK_NOFOLLOW) == 0 && (S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_size == 0))) {
        unlinkat(parent, slash + 1, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
      }
      close(parent);
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  close(root);
  unlink(STUBS);
}

/* A namespace that ends lets go of its mounts a moment later; a disk that is still mounted cannot be had exclusively. */
static int wait_free(const char *serial) {
  char device[64];
  if (!is_name(serial) || !find_disk(serial, device, sizeof device)) {
    return fail("there is no disk with the serial %s", serial);
  }
  for (int tries = 0; tries < RELEASE_TRIES; tries++) {
    int fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
    if (fd >= 0) {
      fsync(fd);
      close(fd);
      return 0;
    }
    usleep(RELEASE_PAUSE_US);
  }
  return fail("the disk of a cache is still in use");
}

int step_release(const char *serials) {
  char list[4096];
  if (host_test) {
    return 0;
  }
  remove_stubs();
  int layers = open(PRIVATE "/layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
  if (layers >= 0) {
    remove_tree(layers, "scratch");
    close(layers);
  }
  snprintf(list, sizeof list, "%s", serials == NULL ? "" : serials);
  for (char *at = strtok(list, " "); at != NULL; at = strtok(NULL, " ")) {
    result = wait_free(at) != 0 ? -1 : result;
  }
  return result;
}
