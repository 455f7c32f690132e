#include "requests/process_spec.h"

#include "requests/decode.h"

static bool decode_limit(struct arena *arena, struct fields list, struct limit_spec *out) {
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case TAG_LIMIT_NAME: ok = read_text(arena, &f, &out->name); break;
      case TAG_LIMIT_SOFT: ok = field_int(&f, &out->soft); break;
      case TAG_LIMIT_HARD: ok = field_int(&f, &out->hard); break;
    }
  }
  return ok && fields_ok(&list) && out->name != NULL;
}

static bool decode_step_mount(struct arena *arena, struct fields list, struct step_mount *out) {
  struct field f;
  bool ok = true;
  uint32_t kind = 0, seed_kind = 0;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case TAG_STEP_MOUNT_KIND: ok = read_u32(&f, &kind) && kind >= STEP_SOURCE_CACHE && kind <= STEP_SOURCE_SOCKET; break;
      case TAG_STEP_MOUNT_SOURCE: ok = read_text(arena, &f, &out->source); break;
      case TAG_STEP_MOUNT_TARGET: ok = read_text(arena, &f, &out->target); break;
      case TAG_STEP_MOUNT_WRITABLE: ok = read_flag(&f, &out->writable); break;
      case TAG_STEP_MOUNT_PATH: ok = read_text(arena, &f, &out->path); break;
      case TAG_STEP_MOUNT_CONTENT: out->content = f.value, out->length = f.length; break;
      case TAG_STEP_MOUNT_SIZE: ok = field_int(&f, &out->size); break;
      case TAG_STEP_MOUNT_MODE: ok = read_u32(&f, &out->mode), out->has_mode = true; break;
      case TAG_STEP_MOUNT_UID: ok = read_u32(&f, &out->uid); break;
      case TAG_STEP_MOUNT_GID: ok = read_u32(&f, &out->gid); break;
      case TAG_STEP_MOUNT_SEED_KIND: ok = read_u32(&f, &seed_kind) && (seed_kind == STEP_SOURCE_STAGED || seed_kind == STEP_SOURCE_IMAGE); break;
      case TAG_STEP_MOUNT_SEED: ok = read_text(arena, &f, &out->seed); break;
      case TAG_STEP_MOUNT_SEED_PATH: ok = read_text(arena, &f, &out->seed_path); break;
    }
  }
  bool needs_source = kind != STEP_SOURCE_TMPFS && kind != STEP_SOURCE_FILE;
  out->kind = kind, out->seed_kind = seed_kind;
  return ok && fields_ok(&list) && kind != 0 && out->target != NULL && (!needs_source || out->source != NULL) && (out->seed == NULL || seed_kind != 0);
}

static bool decode_process_field(struct arena *arena, struct fields all, const struct field *f, struct process_spec *out) {
  void *slot;
  switch (f->tag) {
    case TAG_PROCESS_ARG: return add_text(arena, all, f, &out->args);
    case TAG_PROCESS_ENV: return add_text(arena, all, f, &out->env);
    case TAG_PROCESS_CWD: return read_text(arena, f, &out->cwd);
    case TAG_PROCESS_USER: return read_text(arena, f, &out->user);
    case TAG_PROCESS_GROUP: return add_text(arena, all, f, &out->groups);
    case TAG_PROCESS_TTY: return read_flag(f, &out->tty);
    case TAG_PROCESS_COLUMNS: return read_u32(f, &out->columns);
    case TAG_PROCESS_ROWS: return read_u32(f, &out->rows);
    case TAG_PROCESS_STDIN: return read_flag(f, &out->stdin_open);
    case TAG_PROCESS_LIMIT: return DECODE_INTO(out->limits, out->limit_count, decode_limit);
    case TAG_PROCESS_PRIVILEGED: return read_flag(f, &out->privileged);
    case TAG_PROCESS_CAP_ADD: return add_text(arena, all, f, &out->cap_add);
    case TAG_PROCESS_CAP_DROP: return add_text(arena, all, f, &out->cap_drop);
    case TAG_PROCESS_INIT: return read_flag(f, &out->init);
    case TAG_PROCESS_NO_NEW_PRIVILEGES: return read_flag(f, &out->no_new_privs);
    case TAG_PROCESS_MOUNT: return DECODE_INTO(out->mounts, out->mount_count, decode_step_mount);
    case TAG_PROCESS_ISOLATED: return read_flag(f, &out->isolated);
  }
  return true;
}

const char *decode_process(struct arena *arena, struct fields list, struct process_spec *out) {
  struct fields all = list;
  struct field f;
  bool ok = true;
  out->cwd = "/", out->user = "", out->source = list;
  while (ok && fields_next(&list, &f)) {
    ok = decode_process_field(arena, all, &f, out);
  }
  if (!ok || !fields_ok(&list) || arena->failed) {
    return "the description of the process is malformed";
  }
  return out->args.count == 0 ? "no command specified" : NULL;
}
