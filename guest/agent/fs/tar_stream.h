/* Reading a tar archive from a pipe, entry by entry. What is wrong with it is said by fail(). */
#ifndef TAR_STREAM_H
#define TAR_STREAM_H

#include "fs/tar_header.h"

enum { TAR_BUFFER = 64 << 10 };

struct tar_stream {
  int in;
  uint8_t buffer[TAR_BUFFER];
  size_t start, length;
  /* The entry read last, and its PAX records. */
  struct tar_entry entry;
  char *pax;
  size_t pax_length;
};

/* One entry with the headers before it: 1 when there is one, 0 at the end of the archive, -1 on a failure. */
int tar_next(struct tar_stream *stream);
/* The next bytes, at most one buffer of them; NULL when the stream ends early. */
const uint8_t *tar_take(struct tar_stream *stream, size_t wanted, size_t *got);
/* False when the stream ends early. */
bool tar_skip(struct tar_stream *stream, uint64_t length);
/* Bytes after a content of this size. */
uint64_t tar_padding(uint64_t size);
/* Says what is wrong with the entry; always -1. */
int tar_problem(const struct tar_stream *stream, const char *what);

#endif
