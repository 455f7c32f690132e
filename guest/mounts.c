/* Volumes, shares, tmpfs and small files, mounted where the orders want them inside the root. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kestrel.h"
#include "rooted.h"
#include "tree.h"

#define FILES PRIVATE "/files"

static bool is_empty(int dir) {
  int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *list = copy < 0 ? NULL : fdopendir(copy);
  struct dirent *entry;
  bool empty = list != NULL;
  while (list != NULL && (entry = readdir(list)) != NULL) {
    empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
  }
  if (list != NULL) {
    closedir(list);
  }
  return empty;
}

/* An empty volume begins as a copy of what the image has at its place, owner and mode included. */
static int seed_volume(int root, const char *target, int volume) {
  struct stat st;
  int from = rooted_open(root, target, O_RDONLY | O_DIRECTORY);
  if (from < 0) {
    return 0;
  }
  int pipes[2], status = 0;
  bool ok = fstat(from, &st) == 0 && fchown(volume, st.st_uid, st.st_gid) == 0 && fchmod(volume, st.st_mode & 07777) == 0;
  ok = ok && (is_empty(from) || pipe2(pipes, O_CLOEXEC) == 0);
  if (ok && !is_empty(from)) {
    pid_t pid = fork();
    if (pid == 0) {
      close(pipes[0]);
      _exit(tree_write(pipes[1], from) == 0 ? 0 : 1);
    }
    close(pipes[1]);
    ok = pid > 0 && tree_extract(pipes[0], volume) == 0;
    close(pipes[0]);
    ok = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && ok;
  }
  close(from);
  return ok ? 0 : fail("filling the volume at %s from the image: %s", target, strerror(errno));
}

/* A folder (or a file) on a mounted disk or share; what lies beside it stays hidden. */
static int open_source(const struct mount_order *order, const char *mounted) {
  int base = open(mounted, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const char *below = order->file != NULL ? order->file : order->subpath;
  int fd = base;
  if (base >= 0 && below != NULL && below[0] != 0) {
    fd = rooted_open(base, below, order->file != NULL ? O_PATH : O_RDONLY);
    int error = errno;
    close(base);
    errno = error;
  }
  return fd >= 0 ? fd : fail("%s of the volume for %s: %s", below == NULL ? "the folder" : below, order->target, strerror(errno));
}

/* Read-only before it is anywhere: those who follow the root's mounts get it as it is at that moment. */
static int bind_read_only(int source, int target) {
  const uint64_t attributes[4] = {1 /* MOUNT_ATTR_RDONLY */};
  int tree = (int)syscall(SYS_open_tree, source, "", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC | AT_EMPTY_PATH);
  int result = tree < 0 ? -1 : (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, attributes, sizeof attributes);
  result = result != 0 ? -1 : (int)syscall(SYS_move_mount, tree, "", target, "", 0x04 | 0x40 /* MOVE_MOUNT_{F,T}_EMPTY_PATH */);
  if (tree >= 0) {
    int error = errno;
    close(tree);
    errno = error;
  }
  return result;
}

static int bind_at(int root, const struct mount_order *order, int source) {
  struct stat st;
  char from[FD_PATH], to[FD_PATH];
  if (fstat(source, &st) != 0) {
    return fail("%s: %s", order->target, strerror(errno));
  }
  int target = rooted_make(root, order->target, S_ISDIR(st.st_mode), S_ISDIR(st.st_mode) ? 0755 : 0644, remember_created);
  if (target < 0) {
    return fail("making the mount point %s: %s", order->target, strerror(errno));
  }
  int result = order->read_only ? bind_read_only(source, target) : mount(fd_path(source, from), fd_path(target, to), NULL, MS_BIND, NULL);
  close(target);
  return result == 0 ? 0 : fail("mounting %s: %s", order->target, strerror(errno));
}

/* The kernel knows a share by its tag, and one that is still being plugged in not at all (EINVAL). */
static int mount_share(const char *tag, const char *target) {
  int result = mount(tag, target, "virtiofs", 0, NULL);
  for (int tries = 0; result != 0 && errno == EINVAL && tries < DEVICE_TRIES; tries++) {
    usleep(DEVICE_PAUSE_US);
    result = mount(tag, target, "virtiofs", 0, NULL);
  }
  return result;
}

/* One volume may have several places: its file system is mounted once, in private. */
static int mount_private(const struct mount_order *order, char *out, size_t size) {
  bool disk = order->kind == MOUNT_DISK;
  char device[64];
  snprintf(out, size, PRIVATE "/%s/%s", disk ? "disk" : "share", order->source);
  if (strchr(order->source, '/') != NULL) {
    return fail("the name of a volume holds a slash");
  }
  if (access(out, F_OK) != 0) {
    if (disk && !find_disk(order->source, device, sizeof device)) {
      return fail("there is no disk with the serial %s", order->source);
    }
    if (make_dirs(out, 0755) != 0 || (disk ? mount_writable(device, out) : mount_share(order->source, out)) != 0) {
      int error = errno;
      rmdir(out);
      return fail("mounting the volume for %s: %s", order->target, strerror(error));
    }
  }
  if (disk) {
    /* lost+found stays outside of what the service sees. */
    strncat(out, "/_data", size - strlen(out) - 1);
    if (mkdir(out, 0755) != 0 && errno != EEXIST) {
      return fail("the volume for %s: %s", order->target, strerror(errno));
    }
  }
  return 0;
}

static int mount_volume(int root, const struct mount_order *order) {
  char mounted[4096];
  if (mount_private(order, mounted, sizeof mounted) != 0) {
    return -1;
  }
  int source = open_source(order, mounted);
  if (source < 0) {
    return -1;
  }
  int result = order->seed && order->file == NULL && is_empty(source) ? seed_volume(root, order->target, source) : 0;
  result = result == 0 ? bind_at(root, order, source) : result;
  close(source);
  return result;
}

static int mount_tmpfs(int root, const struct mount_order *order) {
  char options[96], target[FD_PATH];
  int n = snprintf(options, sizeof options, "mode=%o", order->has_mode ? order->mode & 07777 : 01777);
  if (order->size > 0) {
    snprintf(options + n, sizeof options - (size_t)n, ",size=%llu", (unsigned long long)order->size);
  }
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (order->read_only ? MS_RDONLY : 0);
  int fd = rooted_make(root, order->target, true, 0755, remember_created);
  int result = fd < 0 ? -1 : mount("tmpfs", fd_path(fd, target), "tmpfs", flags, options);
  if (fd >= 0) {
    close(fd);
  }
  return result == 0 ? 0 : fail("mounting a tmpfs on %s: %s", order->target, strerror(errno));
}

int mount_all(const struct machine_orders *orders) {
  int root = open(SYSROOT, O_PATH | O_DIRECTORY | O_CLOEXEC), result = 0;
  for (size_t i = 0; result == 0 && i < orders->mount_count; i++) {
    const struct mount_order *order = &orders->mounts[i];
    result = order->kind == MOUNT_TMPFS ? mount_tmpfs(root, order) : mount_volume(root, order);
  }
  close(root);
  return result;
}

/* ---- small files: contents on kestrel's tmpfs, bound into the root ---- */

static void file_store(const char *path, char *out, size_t size) {
  uint64_t hash = 14695981039346656037u;
  for (const char *at = path; *at != 0; at++) {
    hash = (hash ^ (uint8_t)*at) * 1099511628211u;
  }
  snprintf(out, size, FILES "/%016llx", (unsigned long long)hash);
}

static int bind_file(const char *store, const struct file_order *file) {
  struct mount_order order = {.target = file->path};
  /* Processes that run already may have mounts of their own: what is new must be moved in there. */
  bool runs = workload != NULL && !workload->exited && !workload->ahead;
  int tree = runs ? (int)syscall(SYS_open_tree, AT_FDCWD, store, 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC) : -1;
  int source = open(store, O_PATH | O_CLOEXEC), root = open(SYSROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int result = bind_at(root, &order, source);
  close(root);
  close(source);
  if (result == 0 && tree >= 0) {
    /* A job has none of PID 1's descriptors. */
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", workload->pid);
    int ns = open(path, O_RDONLY | O_CLOEXEC);
    result = ns < 0 ? 0 : tree_move_into(tree, ns, file->path);
  }
  if (tree >= 0) {
    close(tree);
  }
  return result;
}

/* Whether a file of ours is what is at its place: a volume that was mounted later may lie over it. */
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

void take_files_away(const struct file_order *files, size_t count) {
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

/* Does nothing that is done: an emulated guest pays for each kind of call. */
static int write_store(const char *store, const struct file_order *file) {
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

int write_files(const struct file_order *files, size_t count) {
  if (host_test) {
    return 0;
  }
  for (size_t i = 0; i < count; i++) {
    char store[128];
    file_store(files[i].path, store, sizeof store);
    int error = write_store(store, &files[i]);
    if (error != 0) {
      return fail("writing %s: %s", files[i].path, strerror(error));
    }
    if (!is_shown(store, files[i].path) && bind_file(store, &files[i]) != 0) {
      return -1;
    }
  }
  return 0;
}
