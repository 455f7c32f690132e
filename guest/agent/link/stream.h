/*
 * Output of one process on its way to the host: pipe or pty → ring → frames. The host says how far it may be sent
 * (limit) and how far it has kept it (acked). With a host attached, a full ring stops the process; without one
 * the ring of the workload drops its oldest bytes and counts them, so that nobody waits for ever.
 */
#ifndef STREAM_H
#define STREAM_H

#include <stddef.h>

#include "lib/loop.h"

struct mark {
  uint64_t offset, time;
};
enum { MARKS = 512 };
struct stream {
  struct watch watch;
  uint8_t *ring;
  size_t capacity;
  /* Offsets count bytes since the process began: oldest kept ≤ next to send ≤ newest; `limit` is the host's. */
  uint64_t start, sent, end, limit, lost;
  /* When the bytes from each offset on arrived. */
  struct mark marks[MARKS];
  size_t mark_first, mark_count;
  /* `retain`: kept until the host acknowledges it, over its reconnects. */
  bool open, watched, ended, end_sent, retain, attached;
};

bool stream_open(struct stream *s, int fd, size_t capacity, bool retain);
void stream_close(struct stream *s);
/* Reads no more, whoever still has the other end: what was read stays to be sent. */
void stream_end(struct stream *s);
void stream_attach(struct stream *s, bool attached);
void stream_window(struct stream *s, uint64_t acked, uint64_t limit);
/* Reads what there is. */
void stream_read(struct stream *s);
/* Sends one frame if it may; true if it did. */
bool stream_send(struct stream *s, uint32_t channel, uint8_t number);
/* Whether the host has all of it, or there is none to have it. */
bool stream_is_sent(const struct stream *s);

#endif
