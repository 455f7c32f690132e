/* What QEMU and its copies may do, beside what the launcher leaves them (vmm/jail/machine.c). */
#include "../jail/fence.h"
#include "preload.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF_CALL(number, action) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, action)

/* Only for this process: its number is known now. */
#define OWN_PROCESS(number, pid)                                                                                                                \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4), LOAD(args[0]), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, pid, 0, 1),                              \
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP)

static bool filter(struct sock_filter *rules, size_t count) {
  struct sock_fprog program = {(unsigned short)count, rules};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* What the launcher left open for making copies. */
static bool forbid_sockets(void) {
  struct sock_filter rules[] = {
      LOAD(nr),
      IF_CALL(SYS_socket, SECCOMP_RET_TRAP),
      IF_CALL(SYS_bind, SECCOMP_RET_TRAP),
      IF_CALL(SYS_rename, SECCOMP_RET_TRAP),
      OWN_PROCESS(SYS_tgkill, (unsigned)getpid()),
      OWN_PROCESS(SYS_kill, (unsigned)getpid()),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return filter(rules, sizeof rules / sizeof *rules);
}

/* QEMU's own `spawn=deny` would also stop this library from forking. So this does the same: it forbids exec for everybody, and fork for
 * copies. */
bool forbid_spawning(bool forks) {
  struct sock_filter rules[] = {
      LOAD(nr),
      IF_CALL(SYS_execve, SECCOMP_RET_KILL_PROCESS),
      IF_CALL(SYS_execveat, SECCOMP_RET_KILL_PROCESS),
      IF_CALL(SYS_fork, SECCOMP_RET_KILL_PROCESS),
      IF_CALL(SYS_vfork, SECCOMP_RET_KILL_PROCESS),
      /* Its flags are in memory, out of a filter's sight; glibc then takes the older call. */
      IF_CALL(SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
      LOAD(args[0]),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, forks ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return filter(rules, sizeof rules / sizeof *rules) && (forks || forbid_sockets());
}

/* Files of other copies are out of reach from here on. The zygote's own fence is round this one. Only Landlock can be narrowed. */
bool narrow_files(const struct request *request) {
  struct ruleset rules = landlock_begin();
  landlock_allow_system(&rules, "/proc/self");
  for (int i = 0; i < request->right_count; i++) {
    const struct right *right = &request->rights[i];
    landlock_allow(&rules, right->path, FS_READ_FILE | FS_READ_DIR | (right->writes ? FS_WRITE_FILE | FS_TRUNCATE : 0));
  }
  return rules.abi > 0 && landlock_enter(&rules);
}
