/*
 * The bytes of the agent channel: frames and length-prefixed fields. Pure, no allocation beyond
 * the caller's buffers, so that it can be fuzzed. The format is described in docs/guest-protocol.md.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/protocol.h"

enum {
  /* Neither side sends longer ones here: the host's limit is the guest's too. */
  MAX_PAYLOAD = MAX_TO_GUEST,
  MAGIC_SIZE = 16,
  HELLO_SIZE = MAGIC_SIZE + 4 + NONCE_SIZE,
  /* Frames with a higher type come from the guest. */
  LAST_FROM_HOST = FRAME_DROP,
};

extern const uint8_t wire_magic[MAGIC_SIZE];

struct frame {
  uint8_t type, flags;
  uint32_t channel, length;
  const uint8_t *payload;
};

/* Reassembles frames from arbitrary pieces of the byte stream. */
struct decoder {
  uint8_t bytes[HEADER_SIZE + MAX_PAYLOAD + 1];
  size_t have;
  /* After a malformed frame everything is skipped up to the next HELLO. */
  bool lost;
};

typedef void frame_fn(void *context, const struct frame *frame);

/* Gives every whole frame in order; false when this piece made the decoder lose its way. */
bool decoder_feed(struct decoder *d, const uint8_t *data, size_t length, frame_fn *fn, void *context);

uint16_t get16(const uint8_t *p);
uint32_t get32(const uint8_t *p);
uint64_t get64(const uint8_t *p);
void put16(uint8_t *p, uint16_t v);
void put32(uint8_t *p, uint32_t v);
void put64(uint8_t *p, uint64_t v);

/* A list of fields: u16 tag, u32 length, value. Values may be lists again; nobody recurses. */
struct fields {
  const uint8_t *at, *end;
};

struct field {
  uint16_t tag;
  uint32_t length;
  const uint8_t *value;
};

/* False at the end; `at` is NULL afterwards if the list was malformed. */
bool fields_next(struct fields *list, struct field *field);
bool fields_ok(const struct fields *list);
struct fields field_list(const struct field *field);
/* Integers are 8 bytes little-endian. */
bool field_int(const struct field *field, uint64_t *value);

/* A growing list of fields to send. */
struct writer {
  size_t length;
  bool full;
  uint8_t bytes[MAX_PAYLOAD];
};

/* The bytes are not cleared: they are many for a few fields. */
static inline void writer_init(struct writer *w) { w->length = 0, w->full = false; }

void write_bytes(struct writer *w, uint16_t tag, const void *value, size_t length);
void write_text(struct writer *w, uint16_t tag, const char *text);
void write_int(struct writer *w, uint16_t tag, uint64_t value);

#endif
