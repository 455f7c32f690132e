/* What was edited in a share outside of this machine. */
#ifndef EDITS_H
#define EDITS_H

#include "lib/arena.h"
#include "lib/wire.h"

struct edits {
  const char *share;
  /* Paths from the share: what was written, what is new at its name, what is gone, folders in which anything may have changed. */
  struct strings written, appeared, gone, folders;
};

/* NULL when the request is well-formed, otherwise what is wrong with it. */
const char *decode_edits(struct arena *arena, struct fields list, struct edits *out);

#endif
