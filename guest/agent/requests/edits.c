#include "requests/edits.h"

#include <string.h>

#include "requests/decode.h"

const char *decode_edits(struct arena *arena, struct fields list, struct edits *out) {
  struct fields all = list;
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case TAG_EDITS_SHARE: ok = read_text(arena, &f, &out->share); break;
      case TAG_EDITS_WRITTEN: ok = add_text(arena, all, &f, &out->written); break;
      case TAG_EDITS_APPEARED: ok = add_text(arena, all, &f, &out->appeared); break;
      case TAG_EDITS_GONE: ok = add_text(arena, all, &f, &out->gone); break;
      case TAG_EDITS_FOLDER: ok = add_text(arena, all, &f, &out->folders); break;
    }
  }
  ok = ok && fields_ok(&list) && !arena->failed && out->share != NULL && *out->share != 0 && strchr(out->share, '/') == NULL &&
       out->share[0] != '.';
  return ok ? NULL : "the request is malformed";
}
