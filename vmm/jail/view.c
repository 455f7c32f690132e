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
  /* As it was named, and without links. */
  const char *path;
  char *real;
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
    char *real = realpath(rights[i].path, NULL);
    if (real == NULL) {
      return false;
    }
    places[(*found)++] = (struct place){rights[i].path, real, rights[i].rights, fd, S_ISDIR(info.st_mode), S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)};
  }
  qsort(places, (size_t)*found, sizeof *places, by_length);
  return true;
}

static bool is_below(const char *path, const struct place *above, const char *above_path) {
  size_t length = strlen(above_path);
  char next = strncmp(path, above_path, length) == 0 ? path[length] : 'x';
  return next == 0 || (next == '/' && above->folder);
}

/* Rights of a place that those before it give already, as Landlock adds them up. */
struct given {
  /* For what it is: by folders above it, links resolved. */
  uint64_t file;
  /* For the path by which it was named. */
  uint64_t path;
};

static struct given inherited(const struct place *places, int own) {
  struct given given = {0, 0};
  for (int i = 0; i < own; i++) {
    given.file |= is_below(places[own].real, &places[i], places[i].real) ? places[i].rights : 0;
    given.path |= is_below(places[own].path, &places[i], places[i].path) ? places[i].rights : 0;
  }
  return given;
}

static bool make_folder(const char *path) {
  struct stat info;
  if (mkdir(path, 0755) == 0) {
    return true;
  }
  if (errno != EEXIST || lstat(path, &info) != 0) {
    return false;
  }
  errno = S_ISLNK(info.st_mode) ? ELOOP : ENOTDIR;
  return S_ISDIR(info.st_mode);
}

/*
 * What a mount is put on. Where a folder above is in the view already, it is there. ELOOP: a folder that is shown has a link on the
 * way, which would be followed outside the view as long as the old root is there.
 */
static bool make_target(char *target, size_t root, bool folder) {
  for (char *slash = strchr(target + root + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    bool ok = make_folder(target);
    *slash = '/';
    if (!ok) {
      return false;
    }
  }
  if (folder) {
    return make_folder(target);
  }
  struct stat info;
  int fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd >= 0) {
    close(fd);
    return true;
  }
  if (errno != EEXIST || lstat(target, &info) != 0) {
    return false;
  }
  errno = ELOOP;
  return !S_ISLNK(info.st_mode);
}

/* The octal escapes of mountinfo (proc(5)). */
static void unescape(char *text) {
  char *to = text;
  for (char *from = text; *from != 0; to++) {
    unsigned code;
    if (from[0] == '\\' && sscanf(from + 1, "%3o", &code) == 1) {
      *to = (char)code;
      from += 4;
    } else {
      *to = *from++;
    }
  }
  *to = 0;
}

static bool seal(const char *target, unsigned long flags) {
  return mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | flags | mount_flags(target), NULL) == 0;
}

/* The mounts below a folder that was bound with all of them have flags of their own. */
static bool seal_below(const char *target, unsigned long flags) {
  FILE *table = fopen("/proc/self/mountinfo", "re");
  size_t room = 0, length = strlen(target);
  char *line = NULL;
  bool ok = table != NULL;
  while (ok && getline(&line, &room, table) > 0) {
    char *point = line;
    for (int field = 0; field < 4 && point != NULL; field++) {
      point = strchr(point, ' ');
      point = point == NULL ? NULL : point + 1;
    }
    if (point == NULL) {
      continue;
    }
    point[strcspn(point, " \n")] = 0;
    unescape(point);
    ok = strncmp(point, target, length) != 0 || point[length] != '/' || seal(point, flags);
  }
  free(line);
  if (table != NULL) {
    fclose(table);
  }
  return ok;
}

bool bind_read_only(const char *folder, const char *place) {
  /* As the table of mounts has it. */
  char *real = realpath(place, NULL);
  bool ok = real != NULL && mount(folder, real, NULL, MS_BIND | MS_REC, NULL) == 0 && seal(real, MS_RDONLY) && seal_below(real, MS_RDONLY);
  free(real);
  return ok;
}

/* Where it is put: the path that was named, or the one without links where a folder that is shown has a link on the way. */
static bool place_target(const struct place *place, const char *root, char target[static 4096 + 64]) {
  const char *const paths[] = {place->path, place->real};
  for (int i = 0; i < 2; i++) {
    if (snprintf(target, 4096 + 64, "%s%s", root, paths[i]) >= 4096 + 64) {
      errno = ENAMETOOLONG;
      return false;
    }
    if (make_target(target, strlen(root), place->folder)) {
      return true;
    }
    if (errno != ELOOP) {
      return false;
    }
  }
  return false;
}

static bool show(const struct place *place, const char *root) {
  char target[4096 + 64], source[64];
  snprintf(source, sizeof source, "/proc/self/fd/%d", place->fd);
  if (!place_target(place, root, target)) {
    return false;
  }
  /* A folder with other mounts in it, which came from another namespace, can only be had with all of them. */
  bool alone = mount(source, target, NULL, MS_BIND, NULL) == 0;
  if (!alone && (errno != EINVAL || mount(source, target, NULL, MS_BIND | MS_REC, NULL) != 0)) {
    return false;
  }
  bool writes = (place->rights & FS_WRITE_FILE) != 0;
  unsigned long flags = MS_NOSUID | (writes ? MS_NOEXEC : MS_RDONLY) | (place->device ? 0 : MS_NODEV);
  return seal(target, flags) && (alone || seal_below(target, flags));
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
    struct given given = inherited(places, i);
    if ((places[i].rights & ~(given.file & given.path)) == 0) {
      continue;
    }
    places[i].rights |= given.file;
    if (!show(&places[i], root)) {
      return places[i].path;
    }
  }
  for (int i = 0; i < found; i++) {
    close(places[i].fd);
    free(places[i].real);
  }
  free(places);
  return turn_to(root) ? NULL : "a root of its own";
}
