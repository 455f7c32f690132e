/* Makes one side what the other one is, at one path. Both have been looked at (`now`). */
#ifndef BRING_H
#define BRING_H

#include "sync/tree.h"

enum brought {
  /* Both are equal now, and known to be. */
  BROUGHT,
  /* Something changed meanwhile. */
  BROUGHT_NOT_YET,
  /* There is something in the way that only that side has. */
  BROUGHT_IN_THE_WAY,
  /* errno says why. */
  BROUGHT_FAILED,
};

/* `unsettled`: it is changed all the time, and is copied as it is; it counts as changed afterwards. */
enum brought bring(struct node *node, enum side to, bool unsettled);
/* Removes it on this side with everything below, as far as that is what both sides once had. */
enum brought take_away(struct node *node, enum side from);
/* Both are equal. */
void note_equal(struct node *node);
/* Nothing is known any more of the path and all below. */
void forget_tree(struct node *node);

#endif
