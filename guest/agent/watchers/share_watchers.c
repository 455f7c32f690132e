#include "watchers/share_watchers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/files.h"
#include "lib/loop.h"
#include "lib/paths.h"
#include "link/host_link.h"
#include "watchers/inotify_watches.h"

/* Mounted by listener_events_open. */
#define TRACING PRIVATE "/tracing"
#define INSTANCE TRACING "/instances/watchers"

/* A program begins to watch with many calls in a row. Without news from the kernel it is looked for every SLOW_MS. */
enum { MAX_SHARES = 64, SOON_MS = 200, SLOW_MS = 5000 };

struct shared {
  char tag[32];
  uint32_t device;
  bool watched, told;
};

static struct shared shares[MAX_SHARES];
static size_t share_count;
static struct watch calls = {.fd = -1};
static struct timer look_timer;
static bool is_due;

static int set(const char *path, const char *value) {
  return write_file(path, value, strlen(value), 0);
}

static void look_later(uint64_t ms) {
  if (!is_due) {
    is_due = true;
    timer_start(&look_timer, ms);
  }
}

static void on_call(struct watch *watch, uint32_t ready) {
  char text[4096];
  (void)ready;
  while (read(watch->fd, text, sizeof text) > 0) {
  }
  look_later(SOON_MS);
}

/* A probe of the one call, because the tracepoints of calls make every call of every program slower. */
static void open_calls(void) {
  if (calls.fd >= 0) {
    return;
  }
  if (access(INSTANCE, F_OK) != 0) {
    set(TRACING "/kprobe_events", "p:hypr/inotify __x64_sys_inotify_add_watch");
    mkdir(INSTANCE, 0700);
  }
  if (set(INSTANCE "/buffer_size_kb", "4") == 0 && set(INSTANCE "/buffer_percent", "0") == 0 &&
      set(INSTANCE "/events/hypr/inotify/enable", "1") == 0) {
    calls = (struct watch){open(INSTANCE "/trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC), on_call};
  }
  if (calls.fd >= 0 && !loop_watch(&calls, EPOLLIN)) {
    watch_close(&calls);
  }
}

static void close_calls(void) {
  if (calls.fd >= 0) {
    set(INSTANCE "/events/hypr/inotify/enable", "0");
    watch_close(&calls);
  }
}

static void list_shares(void) {
  DIR *list = opendir(PRIVATE "/share");
  struct dirent *entry;
  struct statx info;
  share_count = 0;
  while (list != NULL && share_count < MAX_SHARES && (entry = readdir(list)) != NULL) {
    struct shared *share = &shares[share_count];
    *share = (struct shared){.told = false};
    if (entry->d_name[0] != '.' && strlen(entry->d_name) < sizeof share->tag &&
        statx(dirfd(list), entry->d_name, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_TYPE, &info) == 0) {
      strcpy(share->tag, entry->d_name);
      share->device = info.stx_dev_major << 20 | info.stx_dev_minor;
      share_count++;
    }
  }
  if (list != NULL) {
    closedir(list);
  }
}

static bool note_watch(const struct inotify_watch *watch, void *context) {
  size_t *missing = context;
  for (size_t i = 0; i < share_count; i++) {
    if (!shares[i].watched && shares[i].device == watch->device) {
      shares[i].watched = true;
      (*missing)--;
    }
  }
  return *missing > 0;
}

static void tell(const struct shared *share) {
  struct writer w;
  writer_init(&w);
  write_int(&w, TAG_EVENT_KIND, EVENT_SHARE_WATCHED);
  write_text(&w, TAG_EVENT_SHARE, share->tag);
  link_send(FRAME_EVENT, 0, 0, w.bytes, w.length);
}

static void look(struct timer *timer) {
  size_t missing = 0;
  (void)timer;
  is_due = false;
  for (size_t i = 0; i < share_count; i++) {
    missing += !shares[i].watched;
  }
  if (missing > 0) {
    each_inotify_watch(note_watch, &missing);
  }
  for (size_t i = 0; i < share_count; i++) {
    if (shares[i].watched && !shares[i].told) {
      shares[i].told = true;
      tell(&shares[i]);
    }
  }
  if (missing == 0) {
    close_calls();
  } else if (calls.fd < 0) {
    look_later(SLOW_MS);
  }
}

void watch_shares(bool on) {
  timer_stop(&look_timer);
  is_due = false;
  if (!on) {
    close_calls();
    return;
  }
  list_shares();
  if (share_count > 0) {
    open_calls();
    look_timer.fn = look;
    look_later(0);
  }
}
