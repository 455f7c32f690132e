/* What is to be done with one path of a synced folder. Pure. */
#ifndef RECONCILE_H
#define RECONCILE_H

#include <stdbool.h>

/* What one side is, compared with what both were when they were last equal. Where they never were, it has CHANGED if it is there at all. */
enum change { SAME, CHANGED, GONE };

enum action {
  DO_NOTHING,
  /* It is gone on both sides. */
  DO_FORGET,
  DO_TO_GUEST,
  DO_TO_HOST,
  DO_DELETE_GUEST,
  DO_DELETE_HOST,
  /* Both sides may have something of their own: where they are not equal, the guest's is kept beside the host's. */
  DO_COMPARE,
};

/* `unclean`: the machine ended without a word the last time, so a file of the guest may have lost its end and overwrites none of the host. */
enum action reconcile(enum change host, enum change guest, bool unclean);

#endif
