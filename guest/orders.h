/* Orders as decoded from the wire. Everything lives in an arena that is freed in one go. */
#ifndef ORDERS_H
#define ORDERS_H

#include "wire.h"

enum opcode {
  OP_PREPARE = 1,
  OP_START,
  OP_ATTACH,
  OP_SPAWN,
  OP_SIGNAL,
  OP_RESIZE,
  OP_NAMES,
  OP_CLOCK,
  OP_FILES,
  OP_WRITE_TAR,
  OP_READ_TAR,
  OP_READ_LAYER,
  OP_PUSH_LAYER,
  OP_STATS,
  OP_WATCH,
  OP_POWER_OFF,
  OP_SYNC,
  OP_STAGE,
  OP_RELEASE,
  OP_RELAY,
  OP_MOUNT_ROOT,
  OP_FORGET,
};

struct arena {
  struct arena_node *nodes;
  size_t pooled;
  bool failed;
};

void *arena_take(struct arena *arena, size_t size);
void arena_free(struct arena *arena);

struct strings {
  char **items;
  size_t count;
};

struct mount_order {
  enum { MOUNT_DISK = 1, MOUNT_SHARE, MOUNT_TMPFS } kind;
  const char *source, *target, *subpath, *file;
  bool read_only, seed, has_mode;
  uint64_t size;
  uint32_t mode;
};

struct nic_order {
  uint8_t mac[6], address[4], gateway[4];
  const char *name;
  uint32_t prefix, mtu;
  bool has_gateway;
};

struct name_order {
  const char *name;
  uint8_t (*addresses)[4];
  size_t count;
};

struct host_order {
  const char *address;
  struct strings names;
};

struct file_order {
  const char *path;
  const uint8_t *content;
  size_t length;
  uint32_t mode, uid, gid;
};

struct pair_order {
  const char *key, *value;
};

struct machine_orders {
  const char *hostname, *domainname, *machine_id, *root_disk, *upper_disk;
  const uint8_t *entropy;
  size_t entropy_length;
  uint64_t clock;
  bool read_only;
  struct mount_order *mounts;
  struct nic_order *nics;
  struct name_order *names;
  struct host_order *hosts;
  struct file_order *files;
  struct pair_order *sysctls;
  size_t mount_count, nic_count, name_count, host_count, file_count, sysctl_count;
  struct strings search, upstreams, options;
};

struct limit_order {
  const char *name;
  uint64_t soft, hard;
};

/* What a step of a build has mounted, in its own mount namespace. */
enum step_source { SOURCE_CACHE = 1, SOURCE_STAGED, SOURCE_IMAGE, SOURCE_TMPFS, SOURCE_FILE, SOURCE_SOCKET };

struct step_mount {
  enum step_source kind, seed_kind;
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
  struct limit_order *limits;
  struct step_mount *mounts;
  size_t limit_count, mount_count;
  /* What it was decoded from. */
  struct fields source;
};

/* The small orders: a few numbers and one path. */
struct simple_order {
  uint64_t channel, signal, columns, rows, clock, grace;
  uint32_t port, mode, uid, gid;
  bool flag;
  const char *path;
};

/* All return NULL when the order is well-formed, otherwise what is wrong with it. */
const char *decode_machine(struct arena *arena, struct fields list, struct machine_orders *out);
const char *decode_process(struct arena *arena, struct fields list, struct process_spec *out);
const char *decode_simple(struct arena *arena, struct fields list, struct simple_order *out);

#endif
