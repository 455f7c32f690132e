#include "devices/disks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "lib/files.h"
#include "lib/loop.h"
#include "devices/uevents.h"

/* Tests have another place. */
#ifndef DISKS_ROOT
#define DISKS_ROOT ""
#endif

static bool has_serial(const char *name, const char *serial) {
  char path[512], text[64];
  snprintf(path, sizeof path, DISKS_ROOT "/sys/block/%s/serial", name);
  long n = read_small_file(path, text, sizeof text);
  while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' ')) {
    text[--n] = 0;
  }
  return n > 0 && strcmp(text, serial) == 0;
}

/* The kernel shows a disk in /sys before it can be opened, and still after it was unplugged (both times ENXIO). The name may
 * have gone to another disk between reading its serial and opening it, but not while it is open. */
static bool is_usable(const char *name, const char *serial, char *out, size_t size) {
  if (!has_serial(name, serial)) {
    return false;
  }
  snprintf(out, size, DISKS_ROOT "/dev/%s", name);
  int fd = open(out, O_RDONLY | O_CLOEXEC);
  bool same = fd >= 0 && has_serial(name, serial);
  if (fd >= 0) {
    close(fd);
  }
  return same;
}

static bool scan_disks(const char *serial, char *out, size_t size) {
  DIR *dir = opendir(DISKS_ROOT "/sys/block");
  struct dirent *entry;
  bool found = false;
  while (dir != NULL && !found && (entry = readdir(dir)) != NULL) {
    found = entry->d_name[0] != '.' && is_usable(entry->d_name, serial, out, size);
  }
  if (dir != NULL) {
    closedir(dir);
  }
  return found;
}

bool find_disk(const char *serial, char *out, size_t size) {
  if (scan_disks(serial, out, size)) {
    return true;
  }
  /* Listening before looking: what comes in between is not missed. The kernel announces a disk when it can be opened. */
  int events = open_uevents();
  uint64_t deadline = now_ms() + DEVICE_WAIT_MS, now = now_ms();
  bool found = scan_disks(serial, out, size);
  while (!found && events >= 0 && now < deadline) {
    await_uevent(events, (int)(deadline - now));
    found = scan_disks(serial, out, size);
    now = now_ms();
  }
  if (events >= 0) {
    close(events);
  }
  return found;
}

/* A disk that the host gives to be read cannot have its journal played: the host has done that before. */
int mount_writable(const char *device, const char *target) {
  int result = mount(device, target, "ext4", 0, "noinit_itable,no_prefetch_block_bitmaps");
  return result != 0 && (errno == EROFS || errno == EACCES) ? mount(device, target, "ext4", MS_RDONLY, "noload") : result;
}
