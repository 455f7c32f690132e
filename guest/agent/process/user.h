/* Who a process is to be, by /etc/passwd and /etc/group of its own root (docker's rules for USER). */
#ifndef USER_H
#define USER_H

#include <sys/types.h>

#include "lib/arena.h"

enum { MAX_GROUPS = 64 };
struct identity {
  uid_t uid;
  gid_t gid;
  gid_t groups[MAX_GROUPS];
  size_t group_count;
  char home[512];
};
/* NULL, or what is wrong. `extra` are further groups, by name or number. */
const char *identity_find(const char *user, const struct strings *extra, struct identity *out);

#endif
