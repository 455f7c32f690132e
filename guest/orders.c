#include "orders.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ITEMS = 16384 };

struct arena_node {
  struct arena_node *next;
};

/* For the orders of most machines, without a call for memory: of one arena at a time. */
enum { POOL = 64 << 10, ALIGNMENT = 16 };
static _Alignas(ALIGNMENT) uint8_t pool[POOL];
static struct arena *pool_of;

static void *pool_take(struct arena *arena, size_t size) {
  if (pool_of == NULL) {
    pool_of = arena, arena->pooled = 0;
  }
  if (pool_of != arena || size > POOL - arena->pooled) {
    return NULL;
  }
  uint8_t *place = pool + arena->pooled;
  arena->pooled += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return memset(place, 0, size);
}

void *arena_take(struct arena *arena, size_t size) {
  void *place = pool_take(arena, size);
  if (place != NULL) {
    return place;
  }
  struct arena_node *node = calloc(1, sizeof *node + size);
  if (node == NULL) {
    arena->failed = true;
    return NULL;
  }
  node->next = arena->nodes;
  arena->nodes = node;
  return node + 1;
}

void arena_free(struct arena *arena) {
  pool_of = pool_of == arena ? NULL : pool_of;
  while (arena->nodes != NULL) {
    struct arena_node *node = arena->nodes;
    arena->nodes = node->next;
    free(node);
  }
}

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

/* Room for all fields of one tag; the slots are then filled in order. */
static void *take_slots(struct arena *arena, struct fields list, uint16_t tag, size_t size) {
  size_t count = count_tag(list, tag);
  if (count > MAX_ITEMS) {
    arena->failed = true;
    return NULL;
  }
  return arena_take(arena, (count + 1) * size);
}

static bool add_text(struct arena *arena, struct fields all, const struct field *field, struct strings *out) {
  if (out->items == NULL) {
    out->items = take_slots(arena, all, field->tag, sizeof *out->items);
  }
  const char *text = out->items == NULL ? NULL : take_text(arena, field);
  if (text != NULL) {
    out->items[out->count++] = (char *)text;
  }
  return text != NULL;
}

static bool read_flag(const struct field *field, bool *out) {
  uint64_t value;
  bool ok = field_int(field, &value) && value <= 1;
  *out = ok && value == 1;
  return ok;
}

static bool read_u32(const struct field *field, uint32_t *out) {
  uint64_t value;
  bool ok = field_int(field, &value) && value <= UINT32_MAX;
  *out = ok ? (uint32_t)value : 0;
  return ok;
}

static bool read_fixed(const struct field *field, uint8_t *out, size_t size) {
  if (field->length != size) {
    return false;
  }
  memcpy(out, field->value, size);
  return true;
}

static bool read_text(struct arena *arena, const struct field *field, const char **out) {
  *out = take_text(arena, field);
  return *out != NULL;
}

static bool decode_mount(struct arena *arena, struct fields list, struct mount_order *out) {
  struct field f;
  bool ok = true;
  uint32_t kind = 0;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case 1: ok = read_u32(&f, &kind) && kind >= MOUNT_DISK && kind <= MOUNT_TMPFS; break;
      case 2: ok = read_text(arena, &f, &out->source); break;
      case 3: ok = read_text(arena, &f, &out->target); break;
      case 4: ok = read_flag(&f, &out->read_only); break;
      case 5: ok = read_text(arena, &f, &out->subpath); break;
      case 6: ok = read_flag(&f, &out->seed); break;
      case 7: ok = field_int(&f, &out->size); break;
      case 8: ok = read_u32(&f, &out->mode), out->has_mode = true; break;
      case 9: ok = read_text(arena, &f, &out->file); break;
    }
  }
  out->kind = kind;
  return ok && fields_ok(&list) && kind != 0 && out->target != NULL && (kind == MOUNT_TMPFS || out->source != NULL);
}

static bool decode_nic(struct arena *arena, struct fields list, struct nic_order *out) {
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case 1: ok = read_fixed(&f, out->mac, 6); break;
      case 2: ok = read_text(arena, &f, &out->name) && out->name[0] != 0 && strlen(out->name) < 16; break;
      case 3: ok = read_fixed(&f, out->address, 4); break;
      case 4: ok = read_u32(&f, &out->prefix) && out->prefix <= 32; break;
      case 5: ok = read_fixed(&f, out->gateway, 4), out->has_gateway = true; break;
      case 6: ok = read_u32(&f, &out->mtu); break;
    }
  }
  return ok && fields_ok(&list) && out->name != NULL;
}

static bool decode_name(struct arena *arena, struct fields list, struct name_order *out) {
  struct fields all = list;
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    if (f.tag == 1) {
      ok = read_text(arena, &f, &out->name);
    } else if (f.tag == 2) {
      if (out->addresses == NULL) {
        out->addresses = take_slots(arena, all, 2, 4);
      }
      ok = out->addresses != NULL && read_fixed(&f, out->addresses[out->count++], 4);
    }
  }
  return ok && fields_ok(&list) && out->name != NULL;
}

static bool decode_host(struct arena *arena, struct fields list, struct host_order *out) {
  struct fields all = list;
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    if (f.tag == 1) {
      ok = read_text(arena, &f, &out->address);
    } else if (f.tag == 2) {
      ok = add_text(arena, all, &f, &out->names);
    }
  }
  return ok && fields_ok(&list) && out->address != NULL;
}

static bool decode_file(struct arena *arena, struct fields list, struct file_order *out) {
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case 1: ok = read_text(arena, &f, &out->path); break;
      case 2: out->content = f.value, out->length = f.length; break;
      case 3: ok = read_u32(&f, &out->mode); break;
      case 4: ok = read_u32(&f, &out->uid); break;
      case 5: ok = read_u32(&f, &out->gid); break;
    }
  }
  return ok && fields_ok(&list) && out->path != NULL;
}

static bool decode_pair(struct arena *arena, struct fields list, struct pair_order *out) {
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    if (f.tag == 1) {
      ok = read_text(arena, &f, &out->key);
    } else if (f.tag == 2) {
      ok = read_text(arena, &f, &out->value);
    }
  }
  return ok && fields_ok(&list) && out->key != NULL && out->value != NULL;
}

/* The next slot of a list of structures, or NULL. */
#define NEXT_SLOT(array, count) \
  ((array) == NULL && ((array) = take_slots(arena, all, f->tag, sizeof *(array))) == NULL ? NULL : &(array)[(count)++])
#define DECODE(array, count, decode) ((slot = NEXT_SLOT(array, count)) != NULL && decode(arena, field_list(f), slot))

static bool decode_list_field(struct arena *arena, struct fields all, const struct field *f, struct machine_orders *out) {
  void *slot;
  switch (f->tag) {
    case 10: return DECODE(out->mounts, out->mount_count, decode_mount);
    case 11: return DECODE(out->nics, out->nic_count, decode_nic);
    case 12: return DECODE(out->names, out->name_count, decode_name);
    case 13: return add_text(arena, all, f, &out->search);
    case 14: return add_text(arena, all, f, &out->upstreams);
    case 15: return add_text(arena, all, f, &out->options);
    case 16: return DECODE(out->hosts, out->host_count, decode_host);
    case 17: return DECODE(out->files, out->file_count, decode_file);
    case 18: return DECODE(out->sysctls, out->sysctl_count, decode_pair);
  }
  return true;
}

const char *decode_machine(struct arena *arena, struct fields list, struct machine_orders *out) {
  struct fields all = list;
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case 1: ok = read_text(arena, &f, &out->hostname); break;
      case 2: ok = read_text(arena, &f, &out->domainname); break;
      case 3: ok = read_text(arena, &f, &out->machine_id); break;
      case 4: out->entropy = f.value, out->entropy_length = f.length; break;
      case 5: ok = field_int(&f, &out->clock); break;
      case 6: ok = read_text(arena, &f, &out->root_disk); break;
      case 7: ok = read_text(arena, &f, &out->upper_disk); break;
      case 8: ok = read_flag(&f, &out->read_only); break;
      default: ok = decode_list_field(arena, all, &f, out);
    }
  }
  return !ok || !fields_ok(&list) || arena->failed ? "the machine's orders are malformed" : NULL;
}

static bool decode_limit(struct arena *arena, struct fields list, struct limit_order *out) {
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case 1: ok = read_text(arena, &f, &out->name); break;
      case 2: ok = field_int(&f, &out->soft); break;
      case 3: ok = field_int(&f, &out->hard); break;
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
      case 1: ok = read_u32(&f, &kind) && kind >= SOURCE_CACHE && kind <= SOURCE_SOCKET; break;
      case 2: ok = read_text(arena, &f, &out->source); break;
      case 3: ok = read_text(arena, &f, &out->target); break;
      case 4: ok = read_flag(&f, &out->writable); break;
      case 5: ok = read_text(arena, &f, &out->path); break;
      case 6: out->content = f.value, out->length = f.length; break;
      case 7: ok = field_int(&f, &out->size); break;
      case 8: ok = read_u32(&f, &out->mode), out->has_mode = true; break;
      case 9: ok = read_u32(&f, &out->uid); break;
      case 10: ok = read_u32(&f, &out->gid); break;
      case 11: ok = read_u32(&f, &seed_kind) && (seed_kind == SOURCE_STAGED || seed_kind == SOURCE_IMAGE); break;
      case 12: ok = read_text(arena, &f, &out->seed); break;
      case 13: ok = read_text(arena, &f, &out->seed_path); break;
    }
  }
  bool needs_source = kind != SOURCE_TMPFS && kind != SOURCE_FILE;
  out->kind = kind, out->seed_kind = seed_kind;
  return ok && fields_ok(&list) && kind != 0 && out->target != NULL && (!needs_source || out->source != NULL) && (out->seed == NULL || seed_kind != 0);
}

static bool decode_process_field(struct arena *arena, struct fields all, const struct field *f, struct process_spec *out) {
  void *slot;
  switch (f->tag) {
    case 1: return add_text(arena, all, f, &out->args);
    case 2: return add_text(arena, all, f, &out->env);
    case 3: return read_text(arena, f, &out->cwd);
    case 4: return read_text(arena, f, &out->user);
    case 5: return add_text(arena, all, f, &out->groups);
    case 6: return read_flag(f, &out->tty);
    case 7: return read_u32(f, &out->columns);
    case 8: return read_u32(f, &out->rows);
    case 9: return read_flag(f, &out->stdin_open);
    case 10: return DECODE(out->limits, out->limit_count, decode_limit);
    case 11: return read_flag(f, &out->privileged);
    case 12: return add_text(arena, all, f, &out->cap_add);
    case 13: return add_text(arena, all, f, &out->cap_drop);
    case 14: return read_flag(f, &out->init);
    case 15: return read_flag(f, &out->no_new_privs);
    case 16: return DECODE(out->mounts, out->mount_count, decode_step_mount);
    case 17: return read_flag(f, &out->isolated);
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

const char *decode_simple(struct arena *arena, struct fields list, struct simple_order *out) {
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case 1: ok = field_int(&f, &out->channel); break;
      case 2: ok = field_int(&f, &out->signal); break;
      case 3: ok = field_int(&f, &out->columns); break;
      case 4: ok = field_int(&f, &out->rows); break;
      case 5: ok = field_int(&f, &out->clock); break;
      case 6: ok = field_int(&f, &out->grace); break;
      case 7: ok = read_flag(&f, &out->flag); break;
      case 8: ok = read_text(arena, &f, &out->path); break;
      case 9: ok = read_u32(&f, &out->port) && out->port < 65536; break;
      case 10: ok = read_u32(&f, &out->mode); break;
      case 11: ok = read_u32(&f, &out->uid); break;
      case 12: ok = read_u32(&f, &out->gid); break;
    }
  }
  return !ok || !fields_ok(&list) || arena->failed ? "the order is malformed" : NULL;
}
