/* Reading fields of a request into structures. Everything lives in an arena; false means that a field is malformed. */
#ifndef DECODE_H
#define DECODE_H

#include "lib/arena.h"
#include "lib/wire.h"

bool read_text(struct arena *arena, const struct field *field, const char **out);
bool read_flag(const struct field *field, bool *out);
bool read_u32(const struct field *field, uint32_t *out);
/* Exactly so many bytes. */
bool read_fixed(const struct field *field, uint8_t *out, size_t size);
/* One more text of a list; `all` are the fields it is among. */
bool add_text(struct arena *arena, struct fields all, const struct field *field, struct strings *out);
/* Room for all fields of one tag; the slots are then filled in order. */
void *take_slots(struct arena *arena, struct fields all, uint16_t tag, size_t size);

/* The next slot of an array of structures, or NULL. `f` is the field in hand, of `all`. */
#define NEXT_SLOT(array, count) \
  ((array) == NULL && ((array) = take_slots(arena, all, f->tag, sizeof *(array))) == NULL ? NULL : &(array)[(count)++])
/* Decodes `f`, a list of fields itself, into the next slot. */
#define DECODE_INTO(array, count, decode) ((slot = NEXT_SLOT(array, count)) != NULL && decode(arena, field_list(f), slot))

#endif
