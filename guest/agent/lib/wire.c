#include "lib/wire.h"

#include <string.h>

const uint8_t wire_magic[MAGIC_SIZE] = {'h', 'y', 'p', 'r', 0x1f, 'k', 'e', 's', 't', 'r', 'e', 'l', 0x0d, 0x0a, 0x1a, 0xf5};

uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }
uint64_t get64(const uint8_t *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }
void put16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)v, p[1] = (uint8_t)(v >> 8); }
void put32(uint8_t *p, uint32_t v) { put16(p, (uint16_t)v), put16(p + 2, (uint16_t)(v >> 16)); }
void put64(uint8_t *p, uint64_t v) { put32(p, (uint32_t)v), put32(p + 4, (uint32_t)(v >> 32)); }

/* A HELLO begins with this; its layout never changes between versions. */
static void hello_prefix(uint8_t *out) {
  memset(out, 0, HEADER_SIZE);
  out[0] = FRAME_HELLO;
  put32(out + 6, HELLO_SIZE);
  memcpy(out + HEADER_SIZE, wire_magic, MAGIC_SIZE);
}

/* While lost, keeps only what can still become the beginning of a HELLO. */
static void search_hello(struct decoder *d) {
  uint8_t prefix[HEADER_SIZE + MAGIC_SIZE];
  hello_prefix(prefix);
  size_t start = 0;
  while (start < d->have) {
    size_t n = d->have - start < sizeof prefix ? d->have - start : sizeof prefix;
    if (memcmp(d->bytes + start, prefix, n) == 0) {
      d->lost = n < sizeof prefix;
      break;
    }
    start++;
  }
  memmove(d->bytes, d->bytes + start, d->have - start);
  d->have -= start;
}

static bool header_ok(const struct decoder *d) {
  uint32_t length = get32(d->bytes + 6);
  return d->bytes[0] >= FRAME_HELLO && d->bytes[0] <= LAST_FROM_HOST && length <= MAX_PAYLOAD;
}

/* A frame cut off by a reconnect is completed by the zeros before the next HELLO: its end byte is then 0. */
static bool finish_frame(struct decoder *d, frame_fn *fn, void *context) {
  uint32_t length = get32(d->bytes + 6);
  uint8_t end = d->bytes[HEADER_SIZE + length];
  d->have = 0;
  if (end == FRAME_END) {
    struct frame frame = {d->bytes[0], d->bytes[1], get32(d->bytes + 2), length, d->bytes + HEADER_SIZE};
    fn(context, &frame);
  }
  return end == FRAME_END || end == 0;
}

static size_t wanted(const struct decoder *d) {
  if (d->lost) {
    return 1;
  }
  return d->have < HEADER_SIZE ? HEADER_SIZE - d->have : HEADER_SIZE + get32(d->bytes + 6) + 1 - d->have;
}

bool decoder_feed(struct decoder *d, const uint8_t *data, size_t length, frame_fn *fn, void *context) {
  bool ok = true;
  while (length > 0) {
    if (d->have == 0 && *data == 0) {
      data++, length--;
      continue;
    }
    size_t n = wanted(d);
    n = n < length ? n : length;
    memcpy(d->bytes + d->have, data, n);
    d->have += n, data += n, length -= n;
    if (d->lost) {
      search_hello(d);
    } else if (d->have >= HEADER_SIZE && !header_ok(d)) {
      d->lost = true, ok = false;
      search_hello(d);
    } else if (d->have > HEADER_SIZE && d->have == HEADER_SIZE + get32(d->bytes + 6) + 1 && !finish_frame(d, fn, context)) {
      d->lost = true, ok = false;
    }
  }
  return ok;
}

bool fields_next(struct fields *list, struct field *field) {
  if (list->at == NULL || list->at == list->end) {
    return false;
  }
  size_t left = (size_t)(list->end - list->at);
  if (left < 6 || get32(list->at + 2) > left - 6) {
    list->at = NULL;
    return false;
  }
  field->tag = get16(list->at);
  field->length = get32(list->at + 2);
  field->value = list->at + 6;
  list->at = field->value + field->length;
  return true;
}

bool fields_ok(const struct fields *list) { return list->at != NULL; }

struct fields field_list(const struct field *field) { return (struct fields){field->value, field->value + field->length}; }

bool field_int(const struct field *field, uint64_t *value) {
  if (field->length != 8) {
    return false;
  }
  *value = get64(field->value);
  return true;
}

void write_bytes(struct writer *w, uint16_t tag, const void *value, size_t length) {
  if (w->full || length > sizeof w->bytes || w->length + 6 + length > sizeof w->bytes) {
    w->full = true;
    return;
  }
  put16(w->bytes + w->length, tag);
  put32(w->bytes + w->length + 2, (uint32_t)length);
  memcpy(w->bytes + w->length + 6, value, length);
  w->length += 6 + length;
}

void write_text(struct writer *w, uint16_t tag, const char *text) {
  size_t length = strlen(text);
  write_bytes(w, tag, text, length < 8192 ? length : 8192);
}

void write_int(struct writer *w, uint16_t tag, uint64_t value) {
  uint8_t bytes[8];
  put64(bytes, value);
  write_bytes(w, tag, bytes, sizeof bytes);
}
