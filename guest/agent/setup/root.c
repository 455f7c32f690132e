#include "setup/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/rooted.h"
#include "lib/failure.h"
#include "lib/files.h"
#include "lib/overlay.h"
#include "lib/paths.h"
#include "setup/dev.h"
#include "devices/disks.h"

#define MOUNTED PRIVATE "/mounted"

int make_layer(int number) {
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
int mount_overlay(int top, const char *target) {
  char options[4000] = "lowerdir=";
  size_t n = strlen(options);
  for (int i = top - 1; i >= 0; i--) {
    n += (size_t)snprintf(options + n, sizeof options - n, "%d/u:", i);
  }
  snprintf(options + n, sizeof options - n, LOWER ",upperdir=%d/u,workdir=%d/w,redirect_dir=off,metacopy=off,index=off,xino=off", top, top);
  if (chdir(LAYERS) != 0 || mount("overlay", target, "overlay", 0, options) != 0) {
    return fail(REASON_MACHINE, "mounting the root: %s", strerror(errno));
  }
  return chdir("/");
}

static int mount_disk_at(const char *serial, bool writable, const char *target) {
  char device[64];
  if (!find_disk(serial, device, sizeof device)) {
    return fail(REASON_MACHINE, "there is no disk with the serial %s", serial);
  }
  if (make_dirs(target, 0755) != 0 || (writable ? mount_writable(device, target) : mount(device, target, "erofs", MS_RDONLY, NULL)) != 0) {
    return fail(REASON_MACHINE, "mounting the disk %s: %s", serial, strerror(errno));
  }
  return 0;
}

int make_mount_points(int root) {
  static const char *const paths[] = {"/proc", "/sys"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    int fd = rooted_make(root, paths[i], true, 0755, remember_created);
    if (fd < 0) {
      return fail(REASON_MACHINE, "making %s: %s", paths[i], strerror(errno));
    }
    close(fd);
  }
  return 0;
}

int mount_root(const char *root_disk, const char *upper_disk) {
  if (mount_disk_at(root_disk, false, LOWER) != 0) {
    return -1;
  }
  if (upper_disk != NULL) {
    if (mount_disk_at(upper_disk, true, LAYERS) != 0) {
      return -1;
    }
  } else if (make_dirs(LAYERS, 0755) != 0 || mount("tmpfs", LAYERS, "tmpfs", 0, "mode=0755") != 0) {
    return fail(REASON_MACHINE, "mounting the writable layer: %s", strerror(errno));
  }
  int top = top_layer();
  if (top < 0) {
    top = 0;
  }
  if (make_layer(top) != 0) {
    return fail(REASON_MACHINE, "making the writable layer: %s", strerror(errno));
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
  int result = fd < 0 || syncfs(fd) != 0 ? fail(REASON_MACHINE, "writing the layer to its disk: %s", strerror(errno)) : 0;
  if (fd >= 0) {
    close(fd);
  }
  return result;
}

/* A job mounted it, whose memory is gone: so it left a file. */
bool root_is_mounted(void) { return access(MOUNTED, F_OK) == 0; }
