/* A request of the host in hand. Each is answered on its channel, at once or by what it starts. */
#ifndef REQUEST_H
#define REQUEST_H

#include "lib/wire.h"

struct request {
  uint32_t channel;
  uint16_t opcode;
  struct fields list;
  /* The whole request's bytes, or NULL where they go when it is handled. A handler that keeps them sets it to NULL. */
  uint8_t *bytes;
};

/* Done; there is nothing to say. */
void request_done(const struct request *request);
/* `reason` is one of REASON_…; the text is for people. */
void request_refuse(const struct request *request, uint16_t reason, const char *text);

#endif
