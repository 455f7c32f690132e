/*
 * What QEMU may ask the kernel for. The list was learned from runs of all tests that start machines: boots, clones, copies, builds,
 * shares, saved machines. Whatever is not in it raises SIGSYS: the library that QEMU is loaded with (vmm/preload/refused.c) writes
 * down which call it was and answers ENOSYS. Without that library the process dies of SIGSYS, and its machine with it.
 *
 * QEMU's own `-sandbox` and, in copies, forbid_spawning() of vmm/preload/copy.c come on top; the strictest answer counts.
 */
#include "fence.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(__x86_64__)
#error "the list of system calls is that of x86-64"
#endif

/* As in fence.h: calls that the headers of this system may not know. */
#define NR_RSEQ 334
#define NR_CLONE3 435
#define NR_FACCESSAT2 439
#define NR_EPOLL_PWAIT2 441
#define NR_IO_URING_SETUP 425

enum when { ALWAYS, THREADS, OWN_PROCESS, NO_PROCESS, UNIX_SOCKETS, COPIES_SOCKETS, NO_TERMINAL, NO_SIGNALS, IF_COPIES, ABSENT };

/* The condition of each call, and why the call is allowed. */
static const struct call {
  uint16_t number;
  uint8_t when;
} calls[] = {
    /* On descriptors that are open already. */
    {SYS_read, ALWAYS}, {SYS_write, ALWAYS}, {SYS_readv, ALWAYS}, {SYS_writev, ALWAYS}, {SYS_pread64, ALWAYS}, {SYS_pwrite64, ALWAYS},
    {SYS_preadv, ALWAYS}, {SYS_pwritev, ALWAYS}, {SYS_lseek, ALWAYS}, {SYS_close, ALWAYS}, {NR_CLOSE_RANGE, ALWAYS}, {SYS_fstat, ALWAYS},
    {SYS_dup, ALWAYS}, {SYS_dup2, ALWAYS}, {SYS_dup3, ALWAYS}, {SYS_fcntl, NO_SIGNALS}, {SYS_flock, ALWAYS}, {SYS_fstatfs, ALWAYS},
    {SYS_ftruncate, ALWAYS}, {SYS_fallocate, ALWAYS}, {SYS_fsync, ALWAYS}, {SYS_fdatasync, ALWAYS}, {SYS_sync_file_range, ALWAYS}, {SYS_fadvise64, ALWAYS}, {SYS_readahead, ALWAYS},
    {SYS_copy_file_range, ALWAYS}, {SYS_getdents64, ALWAYS},
    /* It drives KVM and tells the sizes of disks and files. Not on a terminal, where it could type commands. */
    {SYS_ioctl, NO_TERMINAL},
    /* Waiting. */
    {SYS_ppoll, ALWAYS}, {SYS_poll, ALWAYS}, {SYS_select, ALWAYS}, {SYS_pselect6, ALWAYS}, {SYS_epoll_create1, ALWAYS}, {SYS_epoll_ctl, ALWAYS},
    {SYS_epoll_wait, ALWAYS}, {SYS_epoll_pwait, ALWAYS}, {NR_EPOLL_PWAIT2, ALWAYS}, {SYS_eventfd2, ALWAYS}, {SYS_signalfd4, ALWAYS},
    {SYS_timerfd_create, ALWAYS}, {SYS_timerfd_settime, ALWAYS}, {SYS_pipe2, ALWAYS}, {SYS_futex, ALWAYS}, {SYS_nanosleep, ALWAYS},
    {SYS_clock_nanosleep, ALWAYS}, {SYS_clock_gettime, ALWAYS}, {SYS_clock_getres, ALWAYS}, {SYS_gettimeofday, ALWAYS}, {SYS_time, ALWAYS},
    {SYS_sched_yield, ALWAYS}, {SYS_restart_syscall, ALWAYS}, {SYS_membarrier, ALWAYS},
    /* For sockets that the launcher made and connected: QEMU needs no call that makes, binds or connects one. It sets their backlog again. */
    {SYS_sendmsg, ALWAYS}, {SYS_recvmsg, ALWAYS}, {SYS_sendto, ALWAYS}, {SYS_recvfrom, ALWAYS}, {SYS_accept4, ALWAYS}, {SYS_accept, ALWAYS},
    {SYS_listen, ALWAYS}, {SYS_shutdown, ALWAYS}, {SYS_getsockname, ALWAYS}, {SYS_getpeername, ALWAYS}, {SYS_getsockopt, ALWAYS},
    {SYS_setsockopt, ALWAYS},
    /* A pair whose ends only QEMU has; it gives one of them to virtiofsd (vhost-user's channel back). Streams only: a datagram can be
     * sent from a pair to any path. */
    {SYS_socketpair, UNIX_SOCKETS},
    /* Memory. Executable pages stay possible, because the emulator generates code and the loader loads it. */
    {SYS_mmap, ALWAYS}, {SYS_munmap, ALWAYS}, {SYS_mprotect, ALWAYS}, {SYS_mremap, ALWAYS}, {SYS_madvise, ALWAYS}, {SYS_brk, ALWAYS},
    {SYS_mincore, ALWAYS}, {SYS_msync, ALWAYS}, {SYS_memfd_create, ALWAYS},
    /* Files, as far as Landlock allows them. QEMU removes its sockets when it ends. */
    {SYS_openat, ALWAYS}, {SYS_open, ALWAYS}, {SYS_newfstatat, ALWAYS}, {SYS_stat, ALWAYS}, {SYS_lstat, ALWAYS}, {SYS_statx, ALWAYS},
    {SYS_statfs, ALWAYS}, {SYS_access, ALWAYS}, {SYS_faccessat, ALWAYS}, {NR_FACCESSAT2, ALWAYS}, {SYS_readlink, ALWAYS},
    {SYS_readlinkat, ALWAYS}, {SYS_getcwd, ALWAYS}, {SYS_unlink, ALWAYS},
    /* Threads, but no processes. clone3 keeps its flags in memory, where a filter cannot see them; without it libraries use clone. */
    {SYS_clone, THREADS}, {NR_CLONE3, ABSENT}, {SYS_exit, ALWAYS}, {SYS_exit_group, ALWAYS}, {SYS_set_tid_address, ALWAYS},
    {SYS_set_robust_list, ALWAYS}, {NR_RSEQ, ALWAYS}, {SYS_arch_prctl, ALWAYS}, {SYS_gettid, ALWAYS}, {SYS_getpid, ALWAYS},
    {SYS_getppid, ALWAYS}, {SYS_sched_getaffinity, ALWAYS}, {SYS_getcpu, ALWAYS}, {SYS_getrusage, ALWAYS},
    /* Signals to itself, which wake its threads. */
    {SYS_rt_sigaction, ALWAYS}, {SYS_rt_sigprocmask, ALWAYS}, {SYS_rt_sigreturn, ALWAYS}, {SYS_rt_sigpending, ALWAYS},
    {SYS_rt_sigtimedwait, ALWAYS}, {SYS_sigaltstack, ALWAYS}, {SYS_tgkill, OWN_PROCESS}, {SYS_kill, OWN_PROCESS},
    /* Its own limits, which glibc reads, but not those of another pid. */
    {SYS_prlimit64, NO_PROCESS}, {SYS_getrlimit, ALWAYS},
    /* Names of threads, timer slack, and the filters of QEMU's own sandbox, which can only take rights away. */
    {SYS_prctl, ALWAYS}, {SYS_seccomp, ALWAYS},
    {SYS_getrandom, ALWAYS}, {SYS_uname, ALWAYS}, {SYS_sysinfo, ALWAYS}, {SYS_getuid, ALWAYS}, {SYS_geteuid, ALWAYS}, {SYS_getgid, ALWAYS},
    {SYS_getegid, ALWAYS},
    /* Many of the kernel's latest holes were in io_uring; QEMU uses epoll when it is told that there is none. */
    {NR_IO_URING_SETUP, ABSENT},
    /* A zygote forks, and each copy makes its own sockets and disk before it drops these rights. */
    {SYS_socket, COPIES_SOCKETS}, {SYS_bind, IF_COPIES}, {SYS_rename, IF_COPIES},
    {NR_LANDLOCK_CREATE_RULESET, IF_COPIES}, {NR_LANDLOCK_ADD_RULE, IF_COPIES}, {NR_LANDLOCK_RESTRICT_SELF, IF_COPIES},
};

enum { MAX_RULES = 2048 };

static struct sock_filter rules[MAX_RULES];
static unsigned count;

static void add(uint16_t code, uint32_t k, uint8_t yes, uint8_t no) {
  if (count < MAX_RULES) {
    rules[count++] = (struct sock_filter){code, yes, no, k};
  }
}

#define ARG(n) (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (n))
static void load(uint32_t offset) { add(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0); }
static void equal(uint32_t k, uint8_t yes, uint8_t no) { add(BPF_JMP | BPF_JEQ | BPF_K, k, yes, no); }
static void answer(uint32_t action) { add(BPF_RET | BPF_K, action, 0, 0); }

/* The last loaded value decides. */
static void allow_if_equal(uint32_t k) {
  equal(k, 0, 1);
  answer(SECCOMP_RET_ALLOW);
  answer(SECCOMP_RET_TRAP);
}

/* AF_UNIX, and a stream whatever its flags. */
static void allow_unix_streams(void) {
  load(ARG(0));
  equal(AF_UNIX, 1, 0);
  answer(SECCOMP_RET_TRAP);
  load(ARG(1));
  add(BPF_ALU | BPF_AND | BPF_K, 0xf, 0, 0);
  allow_if_equal(SOCK_STREAM);
}

#define TIOCSTI_NUMBER 0x5412
#define TIOCLINUX_NUMBER 0x541c
#define FIOSETOWN_NUMBER 0x8901
#define SIOCSPGRP_NUMBER 0x8902
#define F_SETSIG_NUMBER 10
#define F_SETOWN_EX_NUMBER 15

static void add_condition(enum when when, bool copies) {
  switch (when) {
    case THREADS:
      load(ARG(0));
      add(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
      answer(SECCOMP_RET_ALLOW);
      answer(copies ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP);
      return;
    case OWN_PROCESS:
      /* A copy has another pid than its zygote, and limits itself to it. */
      load(ARG(0));
      copies ? answer(SECCOMP_RET_ALLOW) : allow_if_equal((uint32_t)getpid());
      return;
    case NO_PROCESS:
      load(ARG(0));
      allow_if_equal(0);
      return;
    case UNIX_SOCKETS:
      allow_unix_streams();
      return;
    case COPIES_SOCKETS:
      copies ? allow_unix_streams() : answer(SECCOMP_RET_TRAP);
      return;
    case NO_SIGNALS:
      /* Input and output on a descriptor can signal its owner, which may be any process of the user. */
      load(ARG(1));
      equal(F_SETOWN, 3, 0);
      equal(F_SETSIG_NUMBER, 2, 0);
      equal(F_SETOWN_EX_NUMBER, 1, 0);
      answer(SECCOMP_RET_ALLOW);
      answer(SECCOMP_RET_TRAP);
      return;
    case NO_TERMINAL:
      load(ARG(1));
      equal(TIOCSTI_NUMBER, 3, 0);
      equal(FIOSETOWN_NUMBER, 2, 0);
      equal(SIOCSPGRP_NUMBER, 1, 0);
      equal(TIOCLINUX_NUMBER, 0, 1);
      answer(SECCOMP_RET_TRAP);
      answer(SECCOMP_RET_ALLOW);
      return;
    case IF_COPIES:
      answer(copies ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP);
      return;
    case ABSENT:
      answer(SECCOMP_RET_ERRNO | ENOSYS);
      return;
    default:
      answer(SECCOMP_RET_ALLOW);
  }
}

static void add_call(uint32_t number, enum when when, bool copies) {
  unsigned at = count;
  equal(number, 0, 0);
  add_condition(when, copies);
  rules[at].jf = (uint8_t)(count - at - 1);
}

/* One program may be started, by the address of its path in memory, where no later process image has anything. */
static void add_exec(const char *path) {
  unsigned at = count;
  equal(SYS_execve, 0, 0);
  load(ARG(0) + 4);
  equal((uint32_t)((uintptr_t)path >> 32), 0, 2);
  load(ARG(0));
  equal((uint32_t)(uintptr_t)path, 1, 0);
  answer(SECCOMP_RET_TRAP);
  answer(SECCOMP_RET_ALLOW);
  rules[at].jf = (uint8_t)(count - at - 1);
}

/* At an address that nobody can guess, so that what runs later cannot put a path of its own there. */
static char *move_path(const char *path) {
  uintptr_t place = 0;
  size_t size = strlen(path) + 1;
  if (getrandom(&place, sizeof place, 0) != sizeof place) {
    return NULL;
  }
  void *hint = (void *)(place & 0x7ffffffff000 & ~0x400000000000);
  char *moved = mmap(hint, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return moved == MAP_FAILED ? NULL : memcpy(moved, path, size);
}

const char *filter_calls(const char *path, bool copies) {
  char *moved = move_path(path);
  if (moved == NULL) {
    refuse("memory for a path: %s", strerror(errno));
  }
  load(offsetof(struct seccomp_data, arch));
  equal(AUDIT_ARCH_X86_64, 1, 0);
  answer(SECCOMP_RET_KILL_PROCESS);
  load(offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    add_call(calls[i].number, calls[i].when, copies);
  }
  add_exec(moved);
  answer(SECCOMP_RET_TRAP);
  struct sock_fprog program = {(unsigned short)count, rules};
  if (count >= MAX_RULES || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    refuse("this kernel filters no system calls (%s), without which a machine would not be fenced in", strerror(errno));
  }
  return moved;
}
