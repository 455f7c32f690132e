#include "lib/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int open_ns(pid_t pid, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, name);
  return open(path, O_RDONLY | O_CLOEXEC);
}

pid_t fork_into(bool new_namespaces, int pid_ns) {
  if (pid_ns >= 0) {
    int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (own < 0 || setns(pid_ns, CLONE_NEWPID) != 0) {
      if (own >= 0) {
        close(own);
      }
      return -1;
    }
    pid_t pid = fork();
    int error = errno;
    if (pid != 0) {
      setns(own, CLONE_NEWPID);
    }
    close(own);
    errno = error;
    return pid;
  }
  return new_namespaces ? (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0) : fork();
}

void reset_signals(void) {
  sigset_t none;
  for (int i = 1; i < 65; i++) {
    signal(i, SIG_DFL);
  }
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

void set_oom_score(const char *score) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) {
    if (write(fd, score, strlen(score)) < 0) {
      errno = 0;
    }
    close(fd);
  }
}

void keep_only(const int *fds, size_t count) {
  int last = 0;
  for (size_t i = 0; i < count; i++) {
    last = fds[i] > last ? fds[i] : last;
  }
  for (int fd = 0; fd < last; fd++) {
    bool kept = false;
    for (size_t i = 0; i < count; i++) {
      kept = kept || fds[i] == fd;
    }
    if (!kept) {
      close(fd);
    }
  }
  syscall(SYS_close_range, (unsigned)last + 1, ~0U, 0);
}
