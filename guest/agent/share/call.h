/* One request of a kernel that has a lent volume mounted (FUSE), and the answer to it. Sizes are checked here, once. */
#ifndef CALL_H
#define CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  /* The most bytes of one read or write. */
  MAX_TRANSFER = 128 << 10,
  /* A whole request or answer: the largest write with its head, and a name or two. */
  MAX_MESSAGE = MAX_TRANSFER + 8192,
};

struct call {
  uint32_t opcode, uid, gid;
  uint64_t unique, node;
  /* What was not taken yet. */
  const uint8_t *at, *end;
  uint8_t *out;
  size_t out_length;
};

/* The whole request at `bytes`; false where its head is not that of one. */
bool call_begin(struct call *call, const uint8_t *bytes, size_t length);
/* The next bytes, as the fixed part of a request; false where it is shorter. */
bool call_take(struct call *call, void *into, size_t size);
/* The next text; NULL where there is none that ends. */
const char *call_text(struct call *call);
/* The name of something in a folder: neither a path, nor the folder itself, nor the one above. NULL otherwise. */
const char *call_name(struct call *call);
/* Adds to the answer, which has room for MAX_TRANSFER bytes and the largest fixed part. */
void call_add(struct call *call, const void *from, size_t size);

#endif
