/* Landlock (Documentation/userspace-api/landlock.rst); its numbers are spelt out because the headers of older systems lack the later ones. */
#include "fence.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RULE_PATH_BENEATH 1
#define FS_ALL_ABI1 ((1ULL << 13) - 1)
#define NET_ALL 3ULL
#define SCOPE_ALL 3ULL

struct path_rule {
  uint64_t allowed;
  int32_t parent;
} __attribute__((packed));

struct ruleset landlock_begin(void) {
  long abi = syscall(NR_LANDLOCK_CREATE_RULESET, NULL, 0, 1);
  if (abi < 1) {
    return (struct ruleset){.fd = -1};
  }
  struct ruleset rules = {.fs = FS_ALL_ABI1, .net = abi >= 4 ? NET_ALL : 0, .scoped = abi >= 6 ? SCOPE_ALL : 0, .abi = (int)abi};
  rules.fs |= (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0);
  size_t size = abi >= 6 ? offsetof(struct ruleset, abi) : abi >= 4 ? offsetof(struct ruleset, scoped) : offsetof(struct ruleset, net);
  rules.fd = (int)syscall(NR_LANDLOCK_CREATE_RULESET, &rules, size, 0);
  rules.abi = rules.fd < 0 ? -1 : rules.abi;
  return rules;
}

bool landlock_allow(const struct ruleset *rules, const char *path, uint64_t rights) {
  if (rules->abi == 0) {
    return true;
  }
  int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) {
    return false;
  }
  struct stat info;
  rights &= rules->fs;
  if (fstat(fd, &info) == 0 && !S_ISDIR(info.st_mode)) {
    rights &= FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
  }
  struct path_rule rule = {.allowed = rights, .parent = fd};
  bool ok = syscall(NR_LANDLOCK_ADD_RULE, rules->fd, RULE_PATH_BENEATH, &rule, 0) == 0;
  close(fd);
  return ok;
}

#define READS (FS_READ_FILE | FS_READ_DIR)

/* How many processors and which pages there are, time zones, random numbers. */
const struct path_right system_rights[] = {
    {"/proc/sys/vm/overcommit_memory", READS},
    {"/proc/meminfo", READS},
    {"/proc/cpuinfo", READS},
    {"/sys/devices/system", READS},
    {"/sys/kernel/mm/transparent_hugepage", READS},
    {"/etc/ld.so.cache", READS},
    {"/etc/localtime", READS},
    {"/usr/share/zoneinfo", READS},
    {"/dev/urandom", READS},
    {"/dev/random", READS},
    {"/dev/null", FS_READ_FILE | FS_WRITE_FILE},
    {NULL, 0},
};

void landlock_allow_system(const struct ruleset *rules, const char *proc) {
  for (const struct path_right *right = system_rights; right->path != NULL; right++) {
    landlock_allow(rules, right->path, right->rights);
  }
  landlock_allow(rules, proc, READS);
}

bool landlock_enter(struct ruleset *rules) {
  bool ok = rules->abi == 0 || syscall(NR_LANDLOCK_RESTRICT_SELF, rules->fd, 0) == 0;
  if (rules->fd >= 0) {
    close(rules->fd);
  }
  return ok;
}
