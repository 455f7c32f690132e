/*
 * The process that keeps one synced folder equal with the host's (sync/mirror.h): a fork of the agent's, because copying blocks. Orders come
 * and reports go over a socket of packets.
 */
#ifndef SERVE_MIRROR_H
#define SERVE_MIRROR_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum order_kind {
  /* `bytes`: an EDITS request. */
  ORDER_EDITS,
  /* Anything may have changed on the host. */
  ORDER_LOOK,
  /* To be told when nothing waits; `number` comes back. */
  ORDER_SETTLE,
  /* No program is there any more: what waits is brought to the host, for `number` ms at most; then the end. */
  ORDER_END,
};

struct mirror_order {
  uint32_t kind, number;
  uint8_t bytes[32768];
};

enum mirror_full { FULL_NOT, FULL_HOST, FULL_GUEST };

struct mirror_report {
  /* One of SYNCED_NEWS_…, and the number of the last ORDER_SETTLE that is answered. */
  uint32_t news, settled;
  uint64_t files, waiting, conflicts, left;
  uint32_t full, filled;
  /* The path with its end, then the reason; sent as far as they go. */
  char text[PATH_MAX + 256];
};

/* In a fork, which it ends. */
_Noreturn void serve_mirror(const char *tag, int socket);

#endif
