/*
 * Mounts of its own: a root that holds what was named and nothing else. For kernels without Landlock; needs only what every kernel since
 * 3.8 has, where the user may make namespaces.
 */
#include "fence.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  if (fd >= 0) {
    close(fd);
  }
  return ok;
}

bool own_mounts(bool as_root) {
  unsigned uid = geteuid(), gid = getegid();
  if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) {
    return false;
  }
  if (uid != 0) {
    char users[64], groups[64];
    snprintf(users, sizeof users, "%u %u 1", as_root ? 0 : uid, uid);
    snprintf(groups, sizeof groups, "%u %u 1", as_root ? 0 : gid, gid);
    if (!write_text("/proc/self/uid_map", users) || !write_text("/proc/self/setgroups", "deny") || !write_text("/proc/self/gid_map", groups)) {
      return false;
    }
  }
  return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

unsigned long mount_flags(const char *path) {
  struct statvfs info;
  unsigned long flags = statvfs(path, &info) == 0 ? info.f_flag : 0;
  return (flags & ST_RDONLY ? MS_RDONLY : 0) | (flags & ST_NOSUID ? MS_NOSUID : 0) | (flags & ST_NODEV ? MS_NODEV : 0) |
         (flags & ST_NOEXEC ? MS_NOEXEC : 0) | (flags & ST_NOATIME ? MS_NOATIME : 0) | (flags & ST_NODIRATIME ? MS_NODIRATIME : 0) |
         (flags & ST_RELATIME ? MS_RELATIME : 0);
}

/* A path that is to be in the view. */
struct place {
  const char *path;
  uint64_t rights;
  int fd;
  bool folder, device;
};

static int by_length(const void *a, const void *b) {
  size_t left = strlen(((const struct place *)a)->path), right = strlen(((const struct place *)b)->path);
  return left < right ? -1 : left > right;
}

/* Opened before anything is mounted over them; what does not exist is left out. False with errno. */
static bool open_all(const struct path_right *rights, int count, struct place *places, int *found) {
  *found = 0;
  for (int i = 0; i < count; i++) {
    struct stat info;
    int fd = open(rights[i].path, O_PATH | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
      continue;
    }
    if (fd < 0 || fstat(fd, &info) != 0) {
      return false;
    }
    places[(*found)++] = (struct place){rights[i].path, rights[i].rights, fd, S_ISDIR(info.st_mode), S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)};
  }
  qsort(places, (size_t)*found, sizeof *places, by_length);
  return true;
}

/* The rights that folders above it, or the same path named before, give it already, as Landlock adds them up. */
static uint64_t inherited(const struct place *places, int own) {
  uint64_t rights = 0;
  for (int i = 0; i < own; i++) {
    size_t length = strlen(places[i].path);
    char next = strncmp(places[own].path, places[i].path, length) == 0 ? places[own].path[length] : 'x';
    rights |= next == 0 || (next == '/' && places[i].folder) ? places[i].rights : 0;
  }
  return rights;
}

/* What a mount is put on. Where a folder above is in the view already, it is there. */
static bool make_target(char *target, size_t root, bool folder) {
  for (char *slash = strchr(target + root + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    bool ok = mkdir(target, 0755) == 0 || errno == EEXIST;
    *slash = '/';
    if (!ok) {
      return false;
    }
  }
  if (folder) {
    return mkdir(target, 0755) == 0 || errno == EEXIST;
  }
  int fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd >= 0) {
    close(fd);
  }
  return fd >= 0 || errno == EEXIST;
}

static bool show(const struct place *place, const char *root) {
  char target[4096 + 64], source[64];
  snprintf(source, sizeof source, "/proc/self/fd/%d", place->fd);
  if (snprintf(target, sizeof target, "%s%s", root, place->path) >= (int)sizeof target) {
    errno = ENAMETOOLONG;
    return false;
  }
  if (!make_target(target, strlen(root), place->folder)) {
    return false;
  }
  /* A folder with other mounts in it, which came from another namespace, can only be had with all of them. */
  if (mount(source, target, NULL, MS_BIND, NULL) != 0 && (errno != EINVAL || mount(source, target, NULL, MS_BIND | MS_REC, NULL) != 0)) {
    return false;
  }
  bool writes = (place->rights & FS_WRITE_FILE) != 0;
  unsigned long flags = MS_NOSUID | (writes ? MS_NOEXEC : MS_RDONLY) | (place->device ? 0 : MS_NODEV);
  return mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | flags | mount_flags(target), NULL) == 0;
}

/* Any folder that is there on every system; only this process sees what is mounted on it. */
static const char *const stages[] = {"/tmp", "/mnt", "/var", NULL};

static const char *mount_stage(void) {
  for (int i = 0; stages[i] != NULL; i++) {
    if (mount("tmpfs", stages[i], "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=1m") == 0) {
      return stages[i];
    }
  }
  return NULL;
}

static bool turn_to(const char *root) {
  const unsigned long sealed = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  return chdir(root) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0 &&
         mount(NULL, "/", NULL, sealed | mount_flags("/"), NULL) == 0;
}

const char *view_enter(const struct path_right *rights, int count) {
  struct place *places = calloc((size_t)count, sizeof *places);
  int found = 0;
  if (places == NULL || !open_all(rights, count, places, &found)) {
    return "what it is to see";
  }
  const char *root = mount_stage();
  if (root == NULL) {
    return "a file system of its own";
  }
  for (int i = 0; i < found; i++) {
    uint64_t given = inherited(places, i);
    if ((places[i].rights & ~given) == 0) {
      continue;
    }
    places[i].rights |= given;
    if (!show(&places[i], root)) {
      return places[i].path;
    }
  }
  for (int i = 0; i < found; i++) {
    close(places[i].fd);
  }
  free(places);
  return turn_to(root) ? NULL : "a root of its own";
}
