/* The standard streams of a program, both ends of each. */
#ifndef STD_STREAMS_H
#define STD_STREAMS_H

#include "requests/process_spec.h"

/* -1 where there is none. For stdin the parent writes, for the others it reads, without ever blocking. */
struct std_streams {
  int parent[3], child[3];
};
#define NO_STREAMS ((struct std_streams){{-1, -1, -1}, {-1, -1, -1}})

/* Without `in` stdin is /dev/null; without `out` stdout is. There is always a stderr. */
bool std_streams_pipes(struct std_streams *s, bool in, bool out);
/* A terminal for all three; `pty` is kept for its size. */
bool std_streams_pty(struct std_streams *s, const struct process_spec *spec, int *pty);
/* Closes one side. */
void std_streams_close(int fds[3]);

#endif
