#include "process/serve_mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/paths.h"
#include "requests/edits.h"
#include "sync/folders.h"
#include "sync/mirror.h"
#include "sync/own_changes.h"
#include "sync/queue.h"
#include "sync/state.h"

/* There when the last end was an orderly one. */
#define CLEAN "clean"

/* Of conflicts and what is left, so many are told of in so many ms; the others are counted. */
enum { MOST_NEWS = 64, NEWS_MS = 10000, PROGRESS_MS = 500, SAVE_MS = 10000, STEP_MS = 20, DEAF_END_MS = 10000 };

static int agent, place, changes;
static struct mirror_report report;
static uint32_t asked;
static bool is_ending, is_deaf, is_changed;
static uint64_t end_by_ms, saved_ms, told_ms, news_since_ms;
static unsigned news_count;

/* The agent always reads: it waits for nobody. */
static void say(uint32_t news, const char *path, const char *reason) {
  int length = snprintf(report.text, sizeof report.text, "%.*s%c%.200s", PATH_MAX - 1, path, 0, reason);
  report.news = news;
  report.files = tree_count();
  report.waiting = queue_length() + queue_later();
  if (send(agent, &report, offsetof(struct mirror_report, text) + (size_t)length + 1, MSG_NOSIGNAL) < 0 && errno == EPIPE) {
    _exit(1);
  }
  told_ms = mirror_now();
}

static bool may_tell(void) {
  uint64_t now = mirror_now();
  if (news_since_ms + NEWS_MS < now) {
    news_since_ms = now;
    news_count = 0;
  }
  return news_count++ < MOST_NEWS;
}

static void on_news(enum news news, const char *path, const char *reason) {
  switch (news) {
    case NEWS_CONFLICT: report.conflicts++; break;
    case NEWS_LEFT: report.left++; break;
    case NEWS_FULL: report.full = strcmp(reason, "host") == 0 ? FULL_HOST : FULL_GUEST; break;
    case NEWS_SPACE: report.full = FULL_NOT; break;
  }
  static const uint32_t names[] = {SYNCED_NEWS_CONFLICT, SYNCED_NEWS_LEFT, SYNCED_NEWS_FULL, SYNCED_NEWS_SPACE};
  if (news == NEWS_FULL || news == NEWS_SPACE || may_tell()) {
    say(names[news], path, reason);
  }
}

static void on_own_change(const char *path, bool anew) {
  is_changed = true;
  mirror_look(path, anew ? WANT_GUEST | WANT_DEEP : WANT_GUEST);
}

static void look_at_all(const struct strings *paths, unsigned wanted) {
  for (size_t i = 0; i < paths->count; i++) {
    mirror_look(paths->items[i], wanted);
  }
}

static void take_edits(const uint8_t *bytes, size_t length) {
  struct arena arena = {0};
  struct edits edits = {0};
  if (decode_edits(&arena, (struct fields){bytes, bytes + length}, &edits) == NULL) {
    look_at_all(&edits.written, WANT_HOST);
    look_at_all(&edits.appeared, WANT_HOST | WANT_DEEP);
    look_at_all(&edits.gone, WANT_HOST);
    for (size_t i = 0; i < edits.folders.count; i++) {
      /* That of all is told when news were lost. */
      mirror_look(edits.folders.items[i], WANT_HOST | (*edits.folders.items[i] == 0 ? WANT_DEEP : WANT_LIST));
    }
  }
  arena_free(&arena);
}

static void take_order(const struct mirror_order *order, size_t length) {
  is_changed = true;
  switch (order->kind) {
    case ORDER_EDITS: take_edits(order->bytes, length - offsetof(struct mirror_order, bytes)); break;
    case ORDER_LOOK: mirror_look("", WANT_HOST | WANT_DEEP); break;
    case ORDER_SETTLE: asked = order->number; break;
    case ORDER_END:
      is_ending = true;
      end_by_ms = mirror_now() + order->number;
      break;
  }
}

static void take_orders(void) {
  static struct mirror_order order;
  ssize_t got;
  while ((got = recv(agent, &order, sizeof order, MSG_DONTWAIT)) >= (ssize_t)offsetof(struct mirror_order, bytes)) {
    take_order(&order, (size_t)got);
  }
  if (got == 0) {
    is_deaf = true;
    is_ending = true;
    end_by_ms = end_by_ms == 0 ? mirror_now() + DEAF_END_MS : end_by_ms;
  }
}

static bool is_idle(void) {
  struct pollfd in = {changes, POLLIN, 0};
  return mirror_is_idle() && poll(&in, 1, 0) == 0;
}

static void save(void) {
  if (state_save(place, mirror_root)) {
    is_changed = false;
  }
  saved_ms = mirror_now();
}

_Noreturn static void end(void) {
  is_changed = true;
  save();
  if (!is_changed) {
    int fd = openat(place, CLEAN, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    is_changed = fd < 0 || fsync(fd) != 0 || fsync(place) != 0;
  }
  say(SYNCED_NEWS_ENDED, "", is_changed ? "its state could not be saved" : "");
  _exit(0);
}

static void on_idle(void) {
  if (!report.filled && !mirror_is_full()) {
    report.filled = true;
    save();
    say(SYNCED_NEWS_FILLED, "", "");
  }
  if (asked != report.settled) {
    report.settled = asked;
    say(SYNCED_NEWS_STATE, "", "");
  }
  if (is_changed && saved_ms + SAVE_MS <= mirror_now()) {
    save();
  }
}

static void after_step(void) {
  bool idle = is_idle();
  if (is_ending && (idle || end_by_ms <= mirror_now())) {
    end();
  }
  if (idle) {
    on_idle();
  } else if (!report.filled && told_ms + PROGRESS_MS <= mirror_now()) {
    say(SYNCED_NEWS_FILLING, "", "");
  }
}

static int next_wait(void) {
  uint64_t now = mirror_now();
  int due = queue_due_in(now);
  int save_in = !is_changed ? -1 : saved_ms + SAVE_MS <= now ? 0 : (int)(saved_ms + SAVE_MS - now);
  /* What waits to be saved waits for idleness too. */
  return due < 0 || (save_in >= 0 && save_in < due && mirror_is_idle()) ? save_in : due;
}

static int open_folder(const char *format, const char *tag) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, format, tag);
  return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool open_all(const char *tag) {
  places = (struct places){open_folder(PRIVATE "/share/%s", tag), open_folder(SYNCED "/%s/tree", tag), open_folder(SYNCED "/%s/place", tag)};
  place = places.staging;
  changes = places.guest < 0 ? -1 : own_changes_open(places.guest);
  mirror_root = tree_root();
  return places.host >= 0 && place >= 0 && changes >= 0 && mirror_root != NULL;
}

/* Without the mark of an orderly end, files of the guest may have lost what was not on its disk. */
static void load(void) {
  bool known = state_load(place, mirror_root), clean = unlinkat(place, CLEAN, 0) == 0;
  mirror = (struct mirror){known && !clean, on_news};
  fsync(place);
}

_Noreturn void serve_mirror(const char *tag, int socket) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  umask(0);
  agent = socket;
  if (!open_all(tag)) {
    say(SYNCED_NEWS_ENDED, "", strerror(errno));
    _exit(1);
  }
  load();
  mirror_look("", WANT_BOTH | WANT_DEEP);
  for (;;) {
    mirror_step(STEP_MS);
    after_step();
    struct pollfd in[] = {{changes, POLLIN, 0}, {is_deaf ? -1 : agent, POLLIN, 0}};
    poll(in, 2, next_wait());
    if (in[0].revents != 0) {
      own_changes_read(changes, places.guest, on_own_change);
    }
    if (in[1].revents != 0) {
      take_orders();
    }
  }
}
