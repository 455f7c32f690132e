/* Both ends of a program's standard streams. */
#ifndef ENDS_H
#define ENDS_H

#include "orders.h"

/* -1 where there is none. For stdin the parent writes, for the others it reads, without ever blocking. */
struct ends {
  int parent[3], child[3];
};

/* Without `in` stdin is /dev/null; without `out` stdout is. There is always a stderr. */
bool ends_pipes(struct ends *e, bool in, bool out);
/* A terminal for all three; `pty` is kept for its size. */
bool ends_pty(struct ends *e, const struct process_spec *spec, int *pty);
void ends_close(int ends[3]);

#endif
