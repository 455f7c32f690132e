#include "setup/push_layer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "fs/tar_read.h"
#include "lib/failure.h"
#include "lib/files.h"
#include "lib/host_test.h"
#include "lib/overlay.h"
#include "lib/paths.h"
#include "setup/root.h"

#define NEW_ROOT PRIVATE "/newroot"

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
 * it, so the list is read again after each. */
static int move_mounts(void) {
  char target[4096], moved[4200];
  while (find_mount(target, sizeof target)) {
    snprintf(moved, sizeof moved, NEW_ROOT "%s", target + strlen(SYSROOT));
    if (mount(target, moved, NULL, MS_MOVE, NULL) != 0) {
      return fail(REASON_MACHINE, "moving the mount %s to the next layer: %s", target + strlen(SYSROOT), strerror(errno));
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
    return fail(REASON_MACHINE, "there are %d layers already", top);
  }
  sync();
  /* The kernel does not move mounts out of a shared one. */
  mount(NULL, SYSROOT, NULL, MS_REC | MS_PRIVATE, NULL);
  if (make_layer(top + 1) != 0 || make_dirs(NEW_ROOT, 0755) != 0) {
    return fail(REASON_MACHINE, "making the next layer: %s", strerror(errno));
  }
  if (mount_overlay(top + 1, NEW_ROOT) != 0 || move_mounts() != 0) {
    return -1;
  }
  if (umount2(SYSROOT, MNT_DETACH) != 0 || mount(NEW_ROOT, SYSROOT, NULL, MS_MOVE, NULL) != 0) {
    return fail(REASON_MACHINE, "changing the root: %s", strerror(errno));
  }
  return 0;
}
