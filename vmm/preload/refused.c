/*
 * What QEMU's fence refuses (vmm/jail/calls.c) is written down: the number of the system call, on stderr, which is in the machine's
 * folder and, when the machine ends, in the supervisor's log. The call is answered like one that this kernel does not have.
 */
#include "preload.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { MAX_LINES = 100 };

static void on_refused(int number, siginfo_t *info, void *context) {
  static int lines;
  char line[64];
  ucontext_t *at = context;
  (void)number;
  at->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
  if (__atomic_fetch_add(&lines, 1, __ATOMIC_RELAXED) < MAX_LINES) {
    int length = snprintf(line, sizeof line, "fence: refused system call %d\n", info->si_syscall);
    if (write(STDERR_FILENO, line, (size_t)length) < 0) {
      return;
    }
  }
}

bool refused_begin(void) {
  struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER};
  return sigaction(SIGSYS, &action, NULL) == 0;
}
