#include "requests/simple_request.h"

#include "requests/decode.h"

const char *decode_simple(struct arena *arena, struct fields list, struct simple_request *out) {
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case TAG_SIMPLE_CHANNEL: ok = field_int(&f, &out->channel); break;
      case TAG_SIMPLE_SIGNAL: ok = field_int(&f, &out->signal); break;
      case TAG_SIMPLE_COLUMNS: ok = field_int(&f, &out->columns); break;
      case TAG_SIMPLE_ROWS: ok = field_int(&f, &out->rows); break;
      case TAG_SIMPLE_CLOCK: ok = field_int(&f, &out->clock); break;
      case TAG_SIMPLE_GRACE: ok = field_int(&f, &out->grace); break;
      case TAG_SIMPLE_FLUSH: ok = field_int(&f, &out->flush); break;
      case TAG_SIMPLE_FLAG: ok = read_flag(&f, &out->flag); break;
      case TAG_SIMPLE_PATH: ok = read_text(arena, &f, &out->path); break;
      case TAG_SIMPLE_TARGET: ok = read_text(arena, &f, &out->target); break;
      case TAG_SIMPLE_PORT: ok = read_u32(&f, &out->port) && out->port < 65536; break;
      case TAG_SIMPLE_MODE: ok = read_u32(&f, &out->mode); break;
      case TAG_SIMPLE_UID: ok = read_u32(&f, &out->uid); break;
      case TAG_SIMPLE_GID: ok = read_u32(&f, &out->gid); break;
      case TAG_SIMPLE_COUNT: ok = read_u32(&f, &out->count) && out->count < 65536; break;
    }
  }
  return !ok || !fields_ok(&list) || arena->failed ? "the request is malformed" : NULL;
}
