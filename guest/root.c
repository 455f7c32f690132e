/* The root file system: erofs below, a writable layer above, docker's /dev. And the layers of a build. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kestrel.h"
#include "rooted.h"
#include "tree.h"

#define LOWER PRIVATE "/lower"
#define LAYERS PRIVATE "/layers"
#define NEW_ROOT PRIVATE "/newroot"
#define CREATED PRIVATE "/created"
#define DEV PRIVATE "/dev"
#define MOUNTED PRIVATE "/mounted"
enum { MAX_LAYERS = 120 };

/* Mount points that were not in the image: kept out of the layers that a build exports. */
void remember_created(const char *path, size_t length) {
  int fd = open(CREATED, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  char line[4098];
  int n = snprintf(line, sizeof line, "%.*s\n", (int)length, path);
  if (fd >= 0) {
    if (write(fd, line, (size_t)n) < 0) {
      errno = 0;
    }
    close(fd);
  }
}

bool was_created(const char *path) {
  FILE *file = fopen(CREATED, "re");
  char line[4098];
  bool found = false;
  while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = 0;
    const char *at = line;
    while (*at == '/') {
      at++;
    }
    found = strcmp(at, path) == 0;
  }
  if (file != NULL) {
    fclose(file);
  }
  return found;
}

/* The writable layer of a machine is number 0; each pushLayer adds one. They survive a restart of the machine. */
static int top_layer(void) {
  char path[64];
  int count = 0;
  do {
    snprintf(path, sizeof path, LAYERS "/%d/u", count);
  } while (access(path, F_OK) == 0 && ++count <= MAX_LAYERS);
  return count - 1;
}

int upper_path(char *out, size_t size) {
  int top = top_layer();
  snprintf(out, size, LAYERS "/%d/u", top);
  return top < 0 ? -1 : 0;
}

bool same_below(const char *path, const struct stat *st) {
  char full[4200];
  struct stat below;
  for (int i = top_layer() - 1; i >= -1; i--) {
    if (i >= 0) {
      snprintf(full, sizeof full, LAYERS "/%d/u/%s", i, path);
    } else {
      snprintf(full, sizeof full, LOWER "/%s", path);
    }
    if (lstat(full, &below) == 0) {
      return below.st_mode == st->st_mode && below.st_uid == st->st_uid && below.st_gid == st->st_gid;
    }
  }
  return false;
}

static int make_layer(int number) {
  char path[64];
  snprintf(path, sizeof path, LAYERS "/%d/w", number);
  if (make_dirs(path, 0755) != 0) {
    return -1;
  }
  snprintf(path, sizeof path, LAYERS "/%d/u", number);
  /* The merged root has the attributes of the upper's root. */
  return make_dirs(path, 0755) == 0 && chmod(path, 0755) == 0 && chown(path, 0, 0) == 0 ? 0 : -1;
}

/* Names are relative to the folder of the layers: mount(2) takes one page of options. Renamed folders are copied,
 * not redirected, so that a layer can be exported as a tar. */
static int mount_overlay(int top, const char *target) {
  char options[4000] = "lowerdir=";
  size_t n = strlen(options);
  for (int i = top - 1; i >= 0; i--) {
    n += (size_t)snprintf(options + n, sizeof options - n, "%d/u:", i);
  }
  snprintf(options + n, sizeof options - n, LOWER ",upperdir=%d/u,workdir=%d/w,redirect_dir=off,metacopy=off,index=off,xino=off", top, top);
  if (chdir(LAYERS) != 0 || mount("overlay", target, "overlay", 0, options) != 0) {
    return fail("mounting the root: %s", strerror(errno));
  }
  return chdir("/");
}

static int mount_disk_at(const char *serial, bool writable, const char *target) {
  char device[64];
  if (!find_disk(serial, device, sizeof device)) {
    return fail("there is no disk with the serial %s", serial);
  }
  if (make_dirs(target, 0755) != 0 || (writable ? mount_writable(device, target) : mount(device, target, "erofs", MS_RDONLY, NULL)) != 0) {
    return fail("mounting the disk %s: %s", serial, strerror(errno));
  }
  return 0;
}

static int make_node(int dev, const char *name, unsigned major, unsigned minor, mode_t mode) {
  return mknodat(dev, name, S_IFCHR | mode, makedev(major, minor)) == 0 || errno == EEXIST ? 0 : -1;
}

static int mount_in(const char *path, const char *type, unsigned long flags, const char *options) {
  return mkdir(path, 0755) != 0 || mount(type, path, type, flags, options) != 0 ? fail("mounting %s: %s", path, strerror(errno)) : 0;
}

/* /dev as a container expects it; /proc and /sys come with the process, from its own namespaces. Made in private while
 * the machine boots, which a template does once for all its clones. */
int make_dev(void) {
  const unsigned long flags = MS_NOSUID | MS_NOEXEC;
  if (mount_in(DEV, "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k") != 0) {
    return -1;
  }
  int dev = open(DEV, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  mode_t mask = umask(0);
  bool ok = make_node(dev, "null", 1, 3, 0666) == 0 && make_node(dev, "zero", 1, 5, 0666) == 0 && make_node(dev, "full", 1, 7, 0666) == 0 &&
            make_node(dev, "random", 1, 8, 0666) == 0 && make_node(dev, "urandom", 1, 9, 0666) == 0 && make_node(dev, "tty", 5, 0, 0666) == 0;
  static const char *const links[][2] = {{"pts/ptmx", "ptmx"}, {"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"},
                                         {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"/proc/kcore", "core"}};
  for (size_t i = 0; ok && i < sizeof links / sizeof *links; i++) {
    ok = symlinkat(links[i][0], dev, links[i][1]) == 0;
  }
  umask(mask);
  close(dev);
  if (!ok) {
    return fail("filling /dev: %s", strerror(errno));
  }
  return mount_in(DEV "/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620,gid=5") == 0 &&
                 mount_in(DEV "/shm", "tmpfs", flags | MS_NODEV, "mode=1777,size=65536k") == 0 &&
                 mount_in(DEV "/mqueue", "mqueue", flags | MS_NODEV, NULL) == 0
             ? 0
             : -1;
}

static int place_dev(int root) {
  char target[FD_PATH];
  int fd = rooted_make(root, "/dev", true, 0755, remember_created);
  int result = fd < 0 ? -1 : mount(DEV, fd_path(fd, target), NULL, MS_MOVE, NULL);
  if (result != 0) {
    fail("mounting /dev: %s", strerror(errno));
  }
  if (fd >= 0) {
    close(fd);
  }
  return result;
}

static int make_mount_points(int root) {
  static const char *const paths[] = {"/proc", "/sys"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    int fd = rooted_make(root, paths[i], true, 0755, remember_created);
    if (fd < 0) {
      return fail("making %s: %s", paths[i], strerror(errno));
    }
    close(fd);
  }
  return 0;
}

int mount_root(const struct machine_orders *orders) {
  if (mount_disk_at(orders->root_disk, false, LOWER) != 0) {
    return -1;
  }
  if (orders->upper_disk != NULL) {
    if (mount_disk_at(orders->upper_disk, true, LAYERS) != 0) {
      return -1;
    }
  } else if (make_dirs(LAYERS, 0755) != 0 || mount("tmpfs", LAYERS, "tmpfs", 0, "mode=0755") != 0) {
    return fail("mounting the writable layer: %s", strerror(errno));
  }
  int top = top_layer();
  if (top < 0) {
    top = 0;
  }
  if (make_layer(top) != 0) {
    return fail("making the writable layer: %s", strerror(errno));
  }
  if (mount_overlay(top, SYSROOT) != 0) {
    return -1;
  }
  int root = open(SYSROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int result = make_mount_points(root) == 0 && place_dev(root) == 0 ? write_file(MOUNTED, "", 0, 0600) : -1;
  close(root);
  return result;
}

int sync_upper(void) {
  int fd = open(LAYERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int result = fd < 0 || syncfs(fd) != 0 ? fail("writing the layer to its disk: %s", strerror(errno)) : 0;
  if (fd >= 0) {
    close(fd);
  }
  return result;
}

/* Mounted by a job, whose memory is gone: the file tells. */
bool root_is_mounted(void) { return access(MOUNTED, F_OK) == 0; }

/* "\040" of /proc/mounts is a blank. */
static void unescape(char *text) {
  char *out = text;
  for (const char *at = text; *at != 0;) {
    unsigned value;
    if (at[0] == '\\' && sscanf(at + 1, "%3o", &value) == 1) {
      *out++ = (char)value;
      at += 4;
    } else {
      *out++ = *at++;
    }
  }
  *out = 0;
}

/* The first mount below the root, in the order of mounting. */
static bool find_mount(char *target, size_t size) {
  FILE *mounts = fopen("/proc/self/mounts", "re");
  char line[4400], path[4096];
  bool found = false;
  while (mounts != NULL && !found && fgets(line, sizeof line, mounts) != NULL) {
    found = sscanf(line, "%*s %4095s", path) == 1 && strncmp(path, SYSROOT "/", strlen(SYSROOT "/")) == 0;
  }
  if (mounts != NULL) {
    fclose(mounts);
  }
  if (found) {
    unescape(path);
    snprintf(target, size, "%s", path);
  }
  return found;
}

/* Moves what is mounted below the old root to the same places of the new one. A mount takes along what is mounted in
 * it, whenever that was: so the list is read anew after each. */
static int move_mounts(void) {
  char target[4096], moved[4200];
  while (find_mount(target, sizeof target)) {
    snprintf(moved, sizeof moved, NEW_ROOT "%s", target + strlen(SYSROOT));
    if (mount(target, moved, NULL, MS_MOVE, NULL) != 0) {
      return fail("moving the mount %s to the next layer: %s", target + strlen(SYSROOT), strerror(errno));
    }
  }
  return 0;
}

int push_layer(bool with_tar) {
  if (host_test) {
    return with_tar ? tree_extract_layer(0, "/dev/null") : 0;
  }
  if (with_tar && tree_extract_layer(0, SYSROOT) != 0) {
    return -1;
  }
  int top = top_layer();
  if (top < 0 || top >= MAX_LAYERS) {
    return fail("there are %d layers already", top);
  }
  sync();
  /* Mounts are not moved from where others would follow. */
  mount(NULL, SYSROOT, NULL, MS_REC | MS_PRIVATE, NULL);
  if (make_layer(top + 1) != 0 || make_dirs(NEW_ROOT, 0755) != 0) {
    return fail("making the next layer: %s", strerror(errno));
  }
  if (mount_overlay(top + 1, NEW_ROOT) != 0 || move_mounts() != 0) {
    return -1;
  }
  if (umount2(SYSROOT, MNT_DETACH) != 0 || mount(NEW_ROOT, SYSROOT, NULL, MS_MOVE, NULL) != 0) {
    return fail("changing the root: %s", strerror(errno));
  }
  return 0;
}
