#include "watchers/inotify_watches.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

typedef bool watch_fn(const struct inotify_watch *watch, void *context);

uint32_t kernel_device(uint64_t device) {
  return major(device) << 20 | minor(device);
}

/* The line of proc(5): inotify wd:1 ino:2 sdev:fe00001 mask:… ignored_mask:0 fhandle-bytes:c fhandle-type:81 f_handle:0102… */
static bool parse_watch(const char *line, struct inotify_watch *out) {
  unsigned size;
  int type, at = 0;
  if (sscanf(line, "inotify wd:%*x ino:%*x sdev:%x mask:%*x ignored_mask:%*x fhandle-bytes:%x fhandle-type:%x f_handle:%n", &out->device, &size,
             (unsigned *)&type, &at) != 3 ||
      at == 0 || size > MAX_HANDLE || strlen(line + at) < 2 * (size_t)size) {
    return false;
  }
  out->handle.handle_bytes = size;
  out->handle.handle_type = type;
  for (unsigned i = 0; i < size; i++) {
    unsigned byte;
    if (sscanf(line + at + 2 * i, "%2x", &byte) != 1) {
      return false;
    }
    out->handle.f_handle[i] = (unsigned char)byte;
  }
  return true;
}

static bool read_watches(const char *process, const char *number, watch_fn *fn, void *context) {
  char path[64], line[512];
  struct inotify_watch watch;
  bool goes_on = true;
  snprintf(path, sizeof path, "/proc/%.16s/fdinfo/%.16s", process, number);
  FILE *file = fopen(path, "re");
  while (goes_on && file != NULL && fgets(line, sizeof line, file) != NULL) {
    goes_on = !parse_watch(line, &watch) || fn(&watch, context);
  }
  if (file != NULL) {
    fclose(file);
  }
  return goes_on;
}

static bool read_process(const char *process, watch_fn *fn, void *context) {
  char path[64], target[32];
  struct dirent *entry;
  bool goes_on = true;
  snprintf(path, sizeof path, "/proc/%.16s/fd", process);
  DIR *list = opendir(path);
  while (goes_on && list != NULL && (entry = readdir(list)) != NULL) {
    ssize_t length = readlinkat(dirfd(list), entry->d_name, target, sizeof target);
    if (length == (ssize_t)strlen("anon_inode:inotify") && memcmp(target, "anon_inode:inotify", (size_t)length) == 0) {
      goes_on = read_watches(process, entry->d_name, fn, context);
    }
  }
  if (list != NULL) {
    closedir(list);
  }
  return goes_on;
}

void each_inotify_watch(watch_fn *fn, void *context) {
  DIR *list = opendir("/proc");
  struct dirent *entry;
  bool goes_on = true;
  while (goes_on && list != NULL && (entry = readdir(list)) != NULL) {
    goes_on = !isdigit((unsigned char)entry->d_name[0]) || read_process(entry->d_name, fn, context);
  }
  if (list != NULL) {
    closedir(list);
  }
}
