/*
 * The workload's process, made before it is known what it runs: in a template with a root it waits in its namespaces, with
 * the root at /, so that no clone has to fork and mount. The order to start goes to it through a pipe, and it goes on
 * as any other program (launch.c). What the pipes and the views made ahead do not fit is forked as ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ends.h"
#include "kestrel.h"

/* `pid` is 0 while there is none. */
static struct {
  pid_t pid;
  int orders, status, pid_ns, mnt_ns, cgroup_ns;
  struct ends ends;
  bool read_only;
} staged;

struct message {
  size_t length;
  bool read_only;
};

/* ---- its own side ---- */

static bool read_all(int fd, void *out, size_t length) {
  uint8_t *at = out;
  while (length > 0) {
    ssize_t n = read(fd, at, length);
    if (n <= 0) {
      return false;
    }
    at += n, length -= (size_t)n;
  }
  return true;
}

/* Above all not PID 1's end of the agent's port, which only one may have open. */
static void keep_only(const int *fds, size_t count) {
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
  syscall(SYS_close_range, last + 1, ~0U, 0);
}

static void place_stdio(struct launch *l) {
  for (int i = 0; i < 3; i++) {
    dup2(l->stdio[i], i);
    close(l->stdio[i]);
    l->stdio[i] = i;
  }
  setsid();
}

_Noreturn static void wait_for_orders(struct launch *l, int orders) {
  static const char ready = 0;
  struct process_spec spec = {0};
  struct arena arena = {0};
  struct message message;
  enter_new_root(l);
  if (write(l->status, &ready, 1) != 1 || !read_all(orders, &message, sizeof message)) {
    _exit(0);
  }
  static uint8_t some[64 << 10];
  uint8_t *bytes = message.length <= sizeof some ? some : malloc(message.length);
  if (bytes == NULL || !read_all(orders, bytes, message.length)) {
    launch_fail(l->status, STATUS_REFUSED, "the guest is out of memory");
  }
  const char *error = decode_process(&arena, (struct fields){bytes, bytes + message.length}, &spec);
  if (error == NULL && message.read_only && mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0) {
    error = "making the root read-only failed";
  }
  if (error != NULL) {
    launch_fail(l->status, STATUS_REFUSED, "%s", error);
  }
  l->spec = &spec;
  launch_program(l);
}

/* ---- PID 1's side ---- */

static void close_all(int *fds, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (fds[i] >= 0) {
      close(fds[i]);
    }
  }
}

static const char *fork_launcher(int orders[2], int status[2]) {
  static const struct process_spec nothing;
  struct launch l = {&nothing, {0}, status[1], -1, -1, .new_namespaces = true, .ahead = true};
  memcpy(l.stdio, staged.ends.child, sizeof l.stdio);
  /* What is mounted in the root from now on is to be in its root as well. */
  if (mount(NULL, SYSROOT, NULL, MS_REC | MS_SHARED, NULL) != 0) {
    return "sharing the root failed";
  }
  staged.pid = fork_into(true, -1);
  if (staged.pid == 0) {
    const int fds[] = {l.stdio[0], l.stdio[1], l.stdio[2], l.status, orders[0]};
    keep_only(fds, sizeof fds / sizeof *fds);
    launch_common();
    place_stdio(&l);
    wait_for_orders(&l, orders[0]);
  }
  staged.orders = orders[1], staged.status = status[0];
  return staged.pid < 0 ? strerror(errno) : NULL;
}

/* It says that it waits, or why it does not. */
static const char *await_launcher(void) {
  static char report[256];
  ssize_t n = read(staged.status, report, sizeof report - 1);
  if (n == 1) {
    staged.pid_ns = open_ns(staged.pid, "pid"), staged.mnt_ns = open_ns(staged.pid, "mnt"), staged.cgroup_ns = open_ns(staged.pid, "cgroup");
    return fcntl(staged.status, F_SETFL, O_NONBLOCK) == 0 ? NULL : strerror(errno);
  }
  return n > 2 ? (report[n] = 0, report + 2) : "it ended";
}

void launcher_stage(void) {
  int orders[2] = {-1, -1}, status[2] = {-1, -1};
  if (host_test || staged.pid > 0) {
    return;
  }
  memset(&staged, -1, sizeof staged);
  staged.pid = 0, staged.read_only = false;
  bool ok = ends_pipes(&staged.ends, false, true) && pipe2(orders, O_CLOEXEC) == 0 && pipe2(status, O_CLOEXEC) == 0;
  const char *error = ok ? fork_launcher(orders, status) : "no descriptors left";
  ends_close(staged.ends.child);
  close_all((int[]){orders[0], status[1]}, 2);
  error = error == NULL ? await_launcher() : error;
  if (error != NULL) {
    console_say("kestrel: no program could be made ahead: %s", error);
    launcher_drop();
  }
}

void launcher_read_only(void) { staged.read_only = true; }

static void close_staged(void) {
  ends_close(staged.ends.parent);
  close_all((int[]){staged.orders, staged.status, staged.pid_ns, staged.mnt_ns, staged.cgroup_ns}, 5);
  staged.pid = 0;
}

/* Its namespaces go with it: what is mounted in them must not be held by anybody. */
void launcher_drop(void) {
  if (staged.pid > 0) {
    kill(staged.pid, SIGKILL);
    waitpid(staged.pid, NULL, 0);
    close_staged();
  }
}

void launcher_gone(pid_t pid) {
  if (staged.pid == pid) {
    close_staged();
  }
}

static bool fits(const struct process_spec *spec) {
  return !spec->tty && !spec->stdin_open && !spec->privileged && !spec->isolated && spec->mount_count == 0;
}

static bool send_orders(const struct process_spec *spec) {
  struct message message = {(size_t)(spec->source.end - spec->source.at), staged.read_only};
  /* Longer than the pipe is fine: it reads at once. */
  return write(staged.orders, &message, sizeof message) == sizeof message &&
         write(staged.orders, spec->source.at, message.length) == (ssize_t)message.length;
}

bool launcher_start(struct proc *p, const struct process_spec *spec, struct ends *e) {
  if (staged.pid <= 0 || !fits(spec) || !send_orders(spec)) {
    launcher_drop();
    return false;
  }
  close(staged.orders);
  p->pid = staged.pid, p->ahead = true;
  p->pid_ns = staged.pid_ns, p->mnt_ns = staged.mnt_ns, p->cgroup_ns = staged.cgroup_ns;
  p->status = (struct watch){staged.status, proc_status};
  loop_watch(&p->status, EPOLLIN);
  *e = staged.ends;
  staged.pid = 0;
  return true;
}
