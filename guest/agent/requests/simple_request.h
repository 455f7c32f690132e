/* The small requests: a few numbers and one or two paths. */
#ifndef SIMPLE_REQUEST_H
#define SIMPLE_REQUEST_H

#include "lib/arena.h"
#include "lib/wire.h"

struct simple_request {
  uint64_t channel, signal, columns, rows, clock, grace, flush;
  uint32_t port, mode, uid, gid, count;
  bool flag;
  const char *path, *target;
};

/* NULL when the request is well-formed, otherwise what is wrong with it. */
const char *decode_simple(struct arena *arena, struct fields list, struct simple_request *out);

#endif
