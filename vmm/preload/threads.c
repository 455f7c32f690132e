/*
 * fork() copies only the calling thread, and QEMU has several. So a signal interrupts the others where they wait, and they
 * stay in its handler while the process is copied; a thread that is not waiting makes the copy fail. In the copy each gets a
 * new kernel thread that returns from that handler: its stack and its registers are in memory, which fork has copied.
 */
#if !defined(__x86_64__)
#error "threads.c knows the registers of x86-64 only"
#endif
#include "preload.h"

#include <dirent.h>
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* QEMU has a few permanent threads and up to 64 for disks. */
enum { MAX_THREADS = 80, PARK_MS = 2000, PARK_TRIES = 200, PAUSE_NS = 5000000 };

/* The part of glibc's thread descriptor to search: it contains the thread id after a header of pointers. */
enum { THREAD_HEADER = 704, THREAD_BLOCK = 2304 };

struct parked {
  void *context[5];
  uintptr_t block;
  pid_t *tid;
  bool waits;
  uint8_t stack[4096] __attribute__((aligned(16)));
};

static struct parked parked[MAX_THREADS];
static int claimed, ready;
/* Odd while threads are to stay parked. */
static int phase;

static long futex(int *word, int op, int value, const struct timespec *limit) { return syscall(SYS_futex, word, op, value, limit, NULL, 0); }

static uintptr_t own_block(void) {
  uintptr_t block;
  __asm__("mov %%fs:0, %0" : "=r"(block));
  return block;
}

static pid_t *tid_place(uintptr_t block) {
  pid_t tid = (pid_t)syscall(SYS_gettid);
  for (size_t at = THREAD_HEADER; at < THREAD_BLOCK; at += sizeof tid) {
    if (*(pid_t *)(block + at) == tid) {
      return (pid_t *)(block + at);
    }
  }
  return NULL;
}

/* Whether a thread is just before a system call that will be restarted, or just after one. */
static bool in_system_call(const ucontext_t *at) {
  const uint8_t *next = (const uint8_t *)at->uc_mcontext.gregs[REG_RIP];
  return (next[0] == 0x0f && next[1] == 0x05) || (next[-2] == 0x0f && next[-1] == 0x05);
}

static void on_park(int number, siginfo_t *info, void *context) {
  volatile int error = errno;
  int current = __atomic_load_n(&phase, __ATOMIC_ACQUIRE);
  int slot = current % 2 == 1 ? __atomic_fetch_add(&claimed, 1, __ATOMIC_ACQ_REL) : MAX_THREADS;
  (void)number, (void)info;
  if (slot < MAX_THREADS) {
    struct parked *p = &parked[slot];
    p->block = own_block();
    p->tid = tid_place(p->block);
    p->waits = in_system_call(context);
    if (__builtin_setjmp(p->context) == 0) {
      __atomic_fetch_add(&ready, 1, __ATOMIC_ACQ_REL);
      futex(&ready, FUTEX_WAKE, 1, NULL);
      while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) == current) {
        futex(&phase, FUTEX_WAIT, current, NULL);
      }
    }
  }
  errno = error;
}

int park_signal(void) { return SIGRTMIN + 7; }

static pid_t others[MAX_THREADS];

/* -1 if there are too many. Called before any thread is parked, because one may hold a lock of the C library. */
static int list_others(void) {
  DIR *dir = opendir("/proc/self/task");
  struct dirent *entry;
  int count = 0;
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    pid_t tid = (pid_t)atoi(entry->d_name);
    if (tid > 0 && tid != getpid() && count++ < MAX_THREADS) {
      others[count - 1] = tid;
    }
  }
  if (dir != NULL) {
    closedir(dir);
  }
  return dir == NULL || count > MAX_THREADS ? -1 : count;
}

static int signal_others(int count) {
  int reached = 0;
  for (int i = 0; i < count; i++) {
    reached += syscall(SYS_tgkill, getpid(), others[i], park_signal()) == 0;
  }
  return reached;
}

void threads_unpark(void) {
  __atomic_fetch_add(&phase, 1, __ATOMIC_ACQ_REL);
  futex(&phase, FUTEX_WAKE, MAX_THREADS, NULL);
}

static const char at_work[] = "a thread is at work";

static const char *park_once(void) {
  const struct timespec limit = {PARK_MS / 1000, 0};
  const char *error = NULL;
  int listed = list_others(), now;
  if (listed < 0) {
    return "too many threads";
  }
  claimed = ready = 0;
  __atomic_fetch_add(&phase, 1, __ATOMIC_ACQ_REL);
  int count = signal_others(listed);
  while (error == NULL && (now = __atomic_load_n(&ready, __ATOMIC_ACQUIRE)) < count) {
    error = futex(&ready, FUTEX_WAIT, now, &limit) != 0 && errno == ETIMEDOUT ? "a thread does not answer" : NULL;
  }
  for (int i = 0; error == NULL && i < count; i++) {
    error = !parked[i].waits ? at_work : parked[i].tid == NULL ? "a thread has no number" : NULL;
  }
  if (error != NULL) {
    threads_unpark();
  }
  return error;
}

/* A thread of a stopped machine that is at work comes to rest soon, and nothing tells when; on a busy host that takes longer. */
const char *threads_park(void) {
  const struct timespec pause = {0, PAUSE_NS};
  const char *error = park_once();
  for (int tries = 0; error == at_work && tries < PARK_TRIES; tries++) {
    futex(&ready, FUTEX_WAIT, ready, &pause);
    error = park_once();
  }
  return error;
}

static void go_on(struct parked *p) __attribute__((used, noreturn));
static void go_on(struct parked *p) { __builtin_longjmp(p->context, 1); }

static bool revive(struct parked *p) {
  unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                        CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  long result = SYS_clone;
  register struct parked *self __asm__("r12") = p;
  register pid_t *child_tid __asm__("r10") = p->tid;
  register uintptr_t tls __asm__("r8") = p->block;
  __asm__ volatile("syscall\n\t"
                   "test %%rax, %%rax\n\t"
                   "jnz 1f\n\t"
                   "mov %%r12, %%rdi\n\t"
                   "call go_on\n"
                   "1:"
                   : "+a"(result)
                   : "D"(flags), "S"(p->stack + sizeof p->stack), "d"(p->tid), "r"(child_tid), "r"(tls), "r"(self)
                   : "rcx", "r11", "memory");
  return result > 0;
}

bool threads_revive(void) {
  bool ok = true;
  for (int i = 0; i < ready; i++) {
    ok = revive(&parked[i]) && ok;
  }
  return ok;
}

pid_t threads_fork(void) {
  pid_t *place = tid_place(own_block());
  return place == NULL ? -1 : (pid_t)syscall(SYS_clone, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, 0, NULL, place, 0);
}

bool threads_begin(void) {
  struct sigaction park = {.sa_sigaction = on_park, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigfillset(&park.sa_mask);
  return sigaction(park_signal(), &park, NULL) == 0;
}
