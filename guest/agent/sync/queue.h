/* Paths that are to be looked at, each once: now, when an editor has settled, or when there may be space again. */
#ifndef QUEUE_H
#define QUEUE_H

#include "sync/tree.h"

enum { WANT_HOST = 1, WANT_GUEST = 2, WANT_BOTH = 3, WANT_LIST = 4, WANT_DEEP = 8 };
enum wait { AT_ONCE, SETTLING, LATER, WAITS };
enum { SETTLE_MS = 20, LATER_MS = 5000 };

void queue_put(struct node *node, unsigned wanted, enum wait wait, uint64_t now_ms);
/* The next that is due, with nothing wanted of it any more; NULL if none is. */
struct node *queue_take(uint64_t now_ms, unsigned *wanted);
/* Milliseconds until one is due, -1 for never. */
int queue_due_in(uint64_t now_ms);
/* Paths that wait, without those for LATER. */
unsigned queue_length(void);
unsigned queue_later(void);

#endif
