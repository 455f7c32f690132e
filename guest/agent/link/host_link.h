/*
 * The connection to the host: one byte stream over a virtio-serial port. The host may vanish and another may come at
 * any moment, even unnoticed; a HELLO begins a new session whatever came before it.
 */
#ifndef HOST_LINK_H
#define HOST_LINK_H

#include "lib/wire.h"

struct link_handlers {
  void (*frame)(const struct frame *frame);
  /* A new host has said HELLO, or the old one is gone (`connected` false). */
  void (*session)(bool connected);
  /* What the agent says of itself in its WELCOME. */
  void (*write_info)(struct writer *w);
};
void link_init(const struct link_handlers *handlers);
/* The port to talk over. Of a stream (in tests) each host is a connection of its own. */
void link_use(int fd, bool is_stream);
bool link_connected(void);
/* True while there is room for bulk data; answers are always taken. */
bool link_has_room(void);
/* Whether all that was sent is written. */
bool link_is_empty(void);
/* Writes what the port takes now; to be called again in each round. */
void link_flush(void);

/* All of them do nothing while no host is there. */
void link_send(uint8_t type, uint8_t flags, uint32_t channel, const void *payload, size_t length);
void link_send_parts(uint8_t type, uint8_t flags, uint32_t channel, const void *head, size_t head_length, const void *body, size_t length);
/* The answer to the request on a channel: what it asked for; nothing but that it is done; why it is not. */
void link_answer_fields(uint32_t channel, const struct writer *fields);
void link_answer_done(uint32_t channel);
void link_refuse(uint32_t channel, uint16_t status, uint16_t reason, const char *text);
/* The host did not keep to the protocol; it closes. */
void link_fault(const char *text);

#endif
