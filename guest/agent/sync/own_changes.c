#include "sync/own_changes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fanotify.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMES (FAN_CREATE | FAN_MOVED_TO)
#define CHANGES (NAMES | FAN_DELETE | FAN_MOVED_FROM | FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ATTRIB | FAN_ONDIR)
enum { MOST_HANDLE = 128 };

/* The whole file system: a mark for each folder would miss what is made in a new one before that has its own. */
int own_changes_open(int folder) {
  int events = (int)syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_CLOEXEC | FAN_NONBLOCK, 0);
  if (events >= 0 && syscall(SYS_fanotify_mark, events, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, (uint64_t)CHANGES, folder, ".") != 0) {
    int error = errno;
    close(events);
    errno = error;
    return -1;
  }
  return events;
}

static bool path_of(int fd, char out[PATH_MAX]) {
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, out, PATH_MAX - 1);
  if (length < 0) {
    return false;
  }
  out[length] = 0;
  return true;
}

/* The folder in which something changed, from the one that is watched; NULL for one that is elsewhere or gone, whose own folder tells of that. */
static const char *folder_below(int folder, const struct fanotify_event_info_fid *info) {
  static char watched[PATH_MAX], path[PATH_MAX];
  struct {
    struct file_handle handle;
    unsigned char rest[MOST_HANDLE];
  } copy;
  const struct file_handle *handle = (const struct file_handle *)info->handle;
  if (handle->handle_bytes > MOST_HANDLE) {
    return NULL;
  }
  memcpy(&copy, handle, sizeof *handle + handle->handle_bytes);
  int fd = open_by_handle_at(folder, &copy.handle, O_PATH | O_CLOEXEC);
  bool ok = fd >= 0 && path_of(fd, path) && path_of(folder, watched);
  if (fd >= 0) {
    close(fd);
  }
  size_t length = ok ? strlen(watched) : 0;
  if (!ok || strncmp(path, watched, length) != 0 || (path[length] != 0 && path[length] != '/')) {
    return NULL;
  }
  return path + length + (path[length] == '/');
}

static void tell_event(const struct fanotify_event_metadata *event, int folder, own_change_fn *tell) {
  char path[PATH_MAX];
  const struct fanotify_event_info_fid *info = (const void *)((const char *)event + event->metadata_len);
  if (event->mask & FAN_Q_OVERFLOW) {
    tell("", true);
    return;
  }
  if (event->pid == getpid() || event->event_len <= event->metadata_len || info->hdr.info_type != FAN_EVENT_INFO_TYPE_DFID_NAME) {
    return;
  }
  const char *below = folder_below(folder, info);
  const struct file_handle *handle = (const struct file_handle *)info->handle;
  const char *name = (const char *)handle->f_handle + handle->handle_bytes;
  if (below == NULL || strlen(below) + strlen(name) + 2 > sizeof path) {
    return;
  }
  bool own = strcmp(name, ".") == 0;
  snprintf(path, sizeof path, "%s%s%s", below, *below == 0 || own ? "" : "/", own ? "" : name);
  if (*path != 0) {
    tell(path, event->mask & NAMES);
  }
}

void own_changes_read(int events, int folder, own_change_fn *tell) {
  static char bytes[65536] __attribute__((aligned(8)));
  for (ssize_t length; (length = read(events, bytes, sizeof bytes)) > 0;) {
    for (ssize_t at = 0; at < length;) {
      const struct fanotify_event_metadata *event = (const void *)(bytes + at);
      tell_event(event, folder, tell);
      at += (ssize_t)event->event_len;
    }
  }
}
