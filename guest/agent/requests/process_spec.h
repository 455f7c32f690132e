/* A program to run inside the root. */
#ifndef PROCESS_SPEC_H
#define PROCESS_SPEC_H

#include "lib/arena.h"
#include "lib/wire.h"

struct limit_spec {
  const char *name;
  uint64_t soft, hard;
};

/* What a step of a build has mounted, in its own mount namespace. */
struct step_mount {
  /* STEP_SOURCE_… */
  uint32_t kind, seed_kind;
  const char *source, *target, *path, *seed, *seed_path;
  const uint8_t *content;
  size_t length;
  uint64_t size;
  uint32_t mode, uid, gid;
  bool writable, has_mode;
};

struct process_spec {
  struct strings args, env, groups, cap_add, cap_drop;
  const char *cwd, *user;
  bool tty, stdin_open, privileged, init, no_new_privs, isolated;
  uint32_t columns, rows;
  struct limit_spec *limits;
  struct step_mount *mounts;
  size_t limit_count, mount_count;
  /* What it was decoded from. */
  struct fields source;
};

/* NULL when the request is well-formed, otherwise what is wrong with it. Texts and lists are the arena's, bytes the request's. */
const char *decode_process(struct arena *arena, struct fields list, struct process_spec *out);

#endif
