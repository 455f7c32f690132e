#include "process/caps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "lib/host_test.h"

static const char *const names[] = {
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
    "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
    "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
    "PERFMON", "BPF", "CHECKPOINT_RESTORE"};
enum { CAP_COUNT = sizeof names / sizeof *names };
static const uint64_t ALL = ((uint64_t)1 << CAP_COUNT) - 1;
/* CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP */
static const uint64_t DEFAULT = 0xa80425fb;

static char problem[128];

static const char *apply_list(const struct strings *list, bool add, uint64_t *set) {
  for (size_t i = 0; i < list->count; i++) {
    const char *name = list->items[i];
    name += strncasecmp(name, "CAP_", 4) == 0 ? 4 : 0;
    uint64_t bits = strcasecmp(name, "ALL") == 0 ? ALL : 0;
    for (int c = 0; bits == 0 && c < CAP_COUNT; c++) {
      bits = strcasecmp(name, names[c]) == 0 ? (uint64_t)1 << c : 0;
    }
    if (bits == 0) {
      snprintf(problem, sizeof problem, "unknown capability \"%.60s\"", list->items[i]);
      return problem;
    }
    *set = add ? *set | bits : *set & ~bits;
  }
  return NULL;
}

static bool has_all(const struct strings *list) {
  for (size_t i = 0; i < list->count; i++) {
    if (strcasecmp(list->items[i], "ALL") == 0) {
      return true;
    }
  }
  return false;
}

const char *caps_apply(const struct process_spec *spec, uid_t uid) {
  uint64_t set = spec->privileged ? ALL : DEFAULT;
  bool drop_last = has_all(&spec->cap_add);
  const char *error = apply_list(drop_last ? &spec->cap_add : &spec->cap_drop, drop_last, &set);
  error = error != NULL ? error : apply_list(drop_last ? &spec->cap_drop : &spec->cap_add, !drop_last, &set);
  if (error != NULL || host_test) {
    return error;
  }
  for (int c = 0; c < 64; c++) {
    if ((set >> c & 1) == 0 && prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1) {
      prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    }
  }
  if (uid == 0) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{(uint32_t)set, (uint32_t)set, 0}, {(uint32_t)(set >> 32), (uint32_t)(set >> 32), 0}};
    if (syscall(SYS_capset, &header, data) != 0) {
      return strerror(errno);
    }
  }
  return NULL;
}
