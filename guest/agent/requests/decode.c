#include "requests/decode.h"

#include <string.h>

enum { MAX_ITEMS = 16384 };

/* A NUL inside a text would make the C side see another text than the host meant. */
static const char *take_text(struct arena *arena, const struct field *field) {
  if (memchr(field->value, 0, field->length) != NULL) {
    return NULL;
  }
  char *text = arena_take(arena, (size_t)field->length + 1);
  if (text != NULL) {
    memcpy(text, field->value, field->length);
  }
  return text;
}

static size_t count_tag(struct fields list, uint16_t tag) {
  struct field field;
  size_t count = 0;
  while (fields_next(&list, &field)) {
    count += field.tag == tag;
  }
  return count;
}

void *take_slots(struct arena *arena, struct fields list, uint16_t tag, size_t size) {
  size_t count = count_tag(list, tag);
  if (count > MAX_ITEMS) {
    arena->failed = true;
    return NULL;
  }
  return arena_take(arena, (count + 1) * size);
}

bool add_text(struct arena *arena, struct fields all, const struct field *field, struct strings *out) {
  if (out->items == NULL) {
    out->items = take_slots(arena, all, field->tag, sizeof *out->items);
  }
  const char *text = out->items == NULL ? NULL : take_text(arena, field);
  if (text != NULL) {
    out->items[out->count++] = (char *)text;
  }
  return text != NULL;
}

bool read_flag(const struct field *field, bool *out) {
  uint64_t value;
  bool ok = field_int(field, &value) && value <= 1;
  *out = ok && value == 1;
  return ok;
}

bool read_u32(const struct field *field, uint32_t *out) {
  uint64_t value;
  bool ok = field_int(field, &value) && value <= UINT32_MAX;
  *out = ok ? (uint32_t)value : 0;
  return ok;
}

bool read_fixed(const struct field *field, uint8_t *out, size_t size) {
  if (field->length != size) {
    return false;
  }
  memcpy(out, field->value, size);
  return true;
}

bool read_text(struct arena *arena, const struct field *field, const char **out) {
  *out = take_text(arena, field);
  return *out != NULL;
}
