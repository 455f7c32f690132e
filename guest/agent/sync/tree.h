/* What is known of each path of a synced folder. */
#ifndef TREE_H
#define TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/stamp.h"

enum side { HOST, GUEST, SIDES };

struct node {
  struct node *parent, *first, *next, *chained;
  /* Next in the queue of paths to look at. */
  struct node *queued_next;
  /* Both sides as they were when they were last equal, if they ever were (`known`). */
  struct stamp equal[SIDES];
  /* As they were seen last, and one look before (`has_seen`): who copies waits until nothing changes any more. */
  struct stamp now[SIDES], seen[SIDES];
  uint64_t due_ms, unsettled_since_ms;
  uint32_t listed[SIDES];
  uint8_t wanted;
  bool known, queued, has_seen, told;
  char name[];
};

/* A tree of nothing but its root. */
struct node *tree_root(void);
/* The path of this name in a folder, made if it is not there; NULL without memory, or for a name that is none. */
struct node *tree_child(struct node *folder, const char *name, bool make);
/* Paths that are known, without the root. */
size_t tree_count(void);
/* Takes a path away that has no children and waits in no queue. */
void tree_drop(struct node *node);
/* The path from the root, without a slash at its beginning; false where it is longer than `size`. */
bool tree_path(const struct node *node, char *out, unsigned size);

#endif
