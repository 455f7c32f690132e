/* One epoll loop for all descriptors and timers of the agent. */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct watch {
  int fd;
  void (*fn)(struct watch *watch, uint32_t events);
};
struct timer {
  uint64_t at;
  void (*fn)(struct timer *timer);
  struct timer *next;
};

void loop_init(void);
/* Waits for one round of events and handles it. */
void loop_step(void);
bool loop_watch(struct watch *watch, uint32_t events);
void loop_change(struct watch *watch, uint32_t events);
void loop_unwatch(struct watch *watch);
/* Unwatches and closes; the descriptor is -1 afterwards. */
void watch_close(struct watch *watch);
/* (Re)starts a timer; it fires once. */
void timer_start(struct timer *timer, uint64_t after_ms);
void timer_stop(struct timer *timer);
uint64_t now_ms(void);
/* Since the epoch. */
uint64_t wall_ms(void);

#endif
