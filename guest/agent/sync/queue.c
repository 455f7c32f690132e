#include "sync/queue.h"

#include <stddef.h>

static struct list {
  struct node *first, *last;
  unsigned count;
} lists[WAITS];

static const unsigned delays[WAITS] = {0, SETTLE_MS, LATER_MS};

void queue_put(struct node *node, unsigned wanted, enum wait wait, uint64_t now_ms) {
  node->wanted |= (uint8_t)wanted;
  if (node->queued) {
    return;
  }
  struct list *list = &lists[wait];
  node->queued = true;
  node->queued_next = NULL;
  node->due_ms = now_ms + delays[wait];
  if (list->first == NULL) {
    list->first = node;
  } else {
    list->last->queued_next = node;
  }
  list->last = node;
  list->count++;
}

struct node *queue_take(uint64_t now_ms, unsigned *wanted) {
  for (int wait = AT_ONCE; wait < WAITS; wait++) {
    struct list *list = &lists[wait];
    struct node *node = list->first;
    if (node != NULL && node->due_ms <= now_ms) {
      list->first = node->queued_next;
      list->count--;
      node->queued = false;
      *wanted = node->wanted;
      node->wanted = 0;
      return node;
    }
  }
  return NULL;
}

int queue_due_in(uint64_t now_ms) {
  int least = -1;
  for (int wait = AT_ONCE; wait < WAITS; wait++) {
    if (lists[wait].first != NULL) {
      uint64_t due = lists[wait].first->due_ms;
      int in = due <= now_ms ? 0 : (int)(due - now_ms);
      least = least < 0 || in < least ? in : least;
    }
  }
  return least;
}

unsigned queue_length(void) { return lists[AT_ONCE].count + lists[SETTLING].count; }

unsigned queue_later(void) { return lists[LATER].count; }
