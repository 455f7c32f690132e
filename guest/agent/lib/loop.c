#include "lib/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static int epoll_fd;
static struct timer *timers;

/* A handler may close other descriptors of the same round: their events must not be delivered. */
static struct epoll_event round_events[32];
static int round_count;

void loop_init(void) { epoll_fd = epoll_create1(EPOLL_CLOEXEC); }

static uint64_t clock_ms(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t now_ms(void) { return clock_ms(CLOCK_MONOTONIC); }
uint64_t wall_ms(void) { return clock_ms(CLOCK_REALTIME); }

bool loop_watch(struct watch *watch, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = watch};
  return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) == 0;
}

void loop_change(struct watch *watch, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = watch};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void loop_unwatch(struct watch *watch) {
  epoll_ctl(epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
  for (int i = 0; i < round_count; i++) {
    if (round_events[i].data.ptr == watch) {
      round_events[i].data.ptr = NULL;
    }
  }
}

void watch_close(struct watch *watch) {
  if (watch->fd >= 0) {
    loop_unwatch(watch);
    close(watch->fd);
  }
  watch->fd = -1;
}

void timer_stop(struct timer *timer) {
  for (struct timer **at = &timers; *at != NULL; at = &(*at)->next) {
    if (*at == timer) {
      *at = timer->next;
      return;
    }
  }
}

void timer_start(struct timer *timer, uint64_t after_ms) {
  timer_stop(timer);
  timer->at = now_ms() + after_ms;
  timer->next = timers;
  timers = timer;
}

static int next_timeout(void) {
  uint64_t now = now_ms();
  int timeout = -1;
  for (struct timer *t = timers; t != NULL; t = t->next) {
    uint64_t left = t->at > now ? t->at - now : 0;
    int ms = left > 60000 ? 60000 : (int)left;
    timeout = timeout < 0 || ms < timeout ? ms : timeout;
  }
  return timeout;
}

static void fire_timers(void) {
  uint64_t now = now_ms();
  for (struct timer *t = timers; t != NULL;) {
    if (t->at <= now) {
      timer_stop(t);
      t->fn(t);
      t = timers;
    } else {
      t = t->next;
    }
  }
}

void loop_step(void) {
  round_count = epoll_wait(epoll_fd, round_events, 32, next_timeout());
  for (int i = 0; i < round_count; i++) {
    struct watch *watch = round_events[i].data.ptr;
    if (watch != NULL) {
      watch->fn(watch, round_events[i].events);
    }
  }
  round_count = 0;
  fire_timers();
}
