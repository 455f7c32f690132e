#include "process/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/console.h"
#include "lib/fork.h"
#include "lib/host_test.h"
#include "lib/paths.h"
#include "process/enter_root.h"
#include "process/launch.h"

static struct prestarted waiting;
/* Where it reads what to run. */
static int request_fd = -1;
static bool root_is_read_only;

/* Before the bytes of the process spec. */
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

static void place_stdio(struct launch *l) {
  for (int i = 0; i < 3; i++) {
    dup2(l->stdio[i], i);
    close(l->stdio[i]);
    l->stdio[i] = i;
  }
  setsid();
}

_Noreturn static void wait_for_request(struct launch *l, int request) {
  static const char ready = 0;
  struct process_spec spec = {0};
  struct arena arena = {0};
  struct message message;
  enter_new_root(l);
  if (write(l->status, &ready, 1) != 1 || !read_all(request, &message, sizeof message)) {
    _exit(0);
  }
  static uint8_t some[64 << 10];
  uint8_t *bytes = message.length <= sizeof some ? some : malloc(message.length);
  if (bytes == NULL || !read_all(request, bytes, message.length)) {
    launch_refuse(l->status, REASON_RESOURCES, "the guest is out of memory");
  }
  const char *error = decode_process(&arena, (struct fields){bytes, bytes + message.length}, &spec);
  if (error == NULL && message.read_only && mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0) {
    error = "making the root read-only failed";
  }
  if (error != NULL) {
    launch_refuse(l->status, REASON_MACHINE, "%s", error);
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

static const char *fork_launcher(int request[2], int status[2]) {
  static const struct process_spec nothing;
  struct launch l = {&nothing, {0}, status[1], -1, -1, .new_namespaces = true, .prestarted = true};
  memcpy(l.stdio, waiting.streams.child, sizeof l.stdio);
  request_fd = request[1], waiting.status = status[0];
  /* So that what is mounted in the root from now on appears in its root as well. */
  if (mount(NULL, SYSROOT, NULL, MS_REC | MS_SHARED, NULL) != 0) {
    return "sharing the root failed";
  }
  waiting.pid = fork_into(true, -1);
  if (waiting.pid == 0) {
    const int fds[] = {l.stdio[0], l.stdio[1], l.stdio[2], l.status, request[0]};
    /* Above all the agent's port has to be closed: only one process may have it open. */
    keep_only(fds, sizeof fds / sizeof *fds);
    launch_common();
    place_stdio(&l);
    wait_for_request(&l, request[0]);
  }
  return waiting.pid < 0 ? strerror(errno) : NULL;
}

/* Waits until it says that it is ready, or why it is not. */
static const char *await_launcher(void) {
  static char report[256];
  ssize_t n = read(waiting.status, report, sizeof report - 1);
  if (n == 1) {
    waiting.pid_ns = open_ns(waiting.pid, "pid"), waiting.mnt_ns = open_ns(waiting.pid, "mnt"), waiting.cgroup_ns = open_ns(waiting.pid, "cgroup");
    return fcntl(waiting.status, F_SETFL, O_NONBLOCK) == 0 ? NULL : strerror(errno);
  }
  return n > LAUNCH_HEAD ? (report[n] = 0, report + LAUNCH_HEAD) : "it ended";
}

static void forget_waiting(void) {
  std_streams_close(waiting.streams.parent);
  close_all((int[]){request_fd, waiting.status, waiting.pid_ns, waiting.mnt_ns, waiting.cgroup_ns}, 5);
  waiting.pid = 0;
}

/* Waits for its end, because its namespaces end with it, and what is mounted in them must not be held. */
static void end_waiting(void) {
  if (waiting.pid > 0) {
    kill(waiting.pid, SIGKILL);
    waitpid(waiting.pid, NULL, 0);
  }
  forget_waiting();
}

void launcher_prestart(void) {
  int request[2] = {-1, -1}, status[2] = {-1, -1};
  if (host_test || waiting.pid > 0) {
    return;
  }
  waiting = (struct prestarted){0, -1, -1, -1, -1, NO_STREAMS};
  request_fd = -1, root_is_read_only = false;
  bool ok = std_streams_pipes(&waiting.streams, false, true) && pipe2(request, O_CLOEXEC) == 0 && pipe2(status, O_CLOEXEC) == 0;
  const char *error = ok ? fork_launcher(request, status) : "no descriptors left";
  std_streams_close(waiting.streams.child);
  close_all((int[]){request[0], status[1]}, 2);
  error = error == NULL ? await_launcher() : error;
  if (error != NULL) {
    console_say("kestrel: no process could be started ahead: %s", error);
    end_waiting();
  }
}

void launcher_read_only(void) { root_is_read_only = true; }

void launcher_drop(void) {
  if (waiting.pid > 0) {
    end_waiting();
  }
}

void launcher_gone(pid_t pid) {
  if (waiting.pid == pid) {
    forget_waiting();
  }
}

static bool fits(const struct process_spec *spec) {
  return !spec->tty && !spec->stdin_open && !spec->privileged && !spec->isolated && spec->mount_count == 0;
}

static bool send_request(const struct process_spec *spec) {
  struct message message = {(size_t)(spec->source.end - spec->source.at), root_is_read_only};
  /* It may be longer than the pipe holds: the process reads at once. */
  return write(request_fd, &message, sizeof message) == sizeof message &&
         write(request_fd, spec->source.at, message.length) == (ssize_t)message.length;
}

bool launcher_start(const struct process_spec *spec, struct prestarted *out) {
  if (waiting.pid <= 0 || !fits(spec) || !send_request(spec)) {
    launcher_drop();
    return false;
  }
  close(request_fd);
  *out = waiting;
  waiting.pid = 0;
  return true;
}
