/* Programs and jobs of the guest: starting, standard streams, reaping, what a lost host means for each. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "kestrel.h"

enum { WORKLOAD_RING = 1 << 20, EXEC_RING = 64 << 10, DRAIN_MS = 500 };

struct proc *procs, *workload;
void (*on_workload_exit)(void);
static struct timer drain_timer;

struct proc *proc_by_channel(uint32_t channel) {
  for (struct proc *p = procs; p != NULL; p = p->next) {
    if (p->channel == channel && !p->orphaned) {
      return p;
    }
  }
  return NULL;
}

static void close_fd(int *fd) {
  if (*fd >= 0) {
    close(*fd);
  }
  *fd = -1;
}

static void drop_watch(struct watch *watch) {
  if (watch->fd >= 0) {
    loop_unwatch(watch);
  }
  close_fd(&watch->fd);
}

static struct proc *proc_new(enum proc_kind kind, uint32_t channel) {
  struct proc *p = calloc(1, sizeof *p);
  if (p == NULL) {
    return NULL;
  }
  p->kind = kind, p->channel = channel;
  p->oom_kills_before = oom_kills();
  p->pty = p->pid_ns = p->mnt_ns = p->cgroup_ns = p->input.fd = p->status.fd = -1;
  p->input_limit = INPUT_BUFFER;
  p->out[0].ended = p->out[1].ended = true;
  p->next = procs;
  procs = p;
  return p;
}

static void proc_free(struct proc *p) {
  for (struct proc **at = &procs; *at != NULL; at = &(*at)->next) {
    if (*at == p) {
      *at = p->next;
      break;
    }
  }
  workload = workload == p ? NULL : workload;
  stream_close(&p->out[0]);
  stream_close(&p->out[1]);
  drop_watch(&p->input);
  drop_watch(&p->status);
  close_fd(&p->pty), close_fd(&p->pid_ns), close_fd(&p->mnt_ns), close_fd(&p->cgroup_ns);
  free(p->input_buffer);
  free(p);
}

/* ---- stdin ---- */

static void send_input_window(const struct proc *p, uint64_t limit) {
  uint8_t payload[8];
  put64(payload, limit);
  channel_send(F_INPUT_WINDOW, 0, p->channel, payload, sizeof payload);
}

/* Nobody reads any more: the host may send what it likes, it goes nowhere. */
static void refuse_input(struct proc *p) {
  drop_watch(&p->input);
  if (!p->discard_input) {
    p->discard_input = true;
    send_input_window(p, UINT64_MAX);
  }
}

static void finish_input(struct proc *p) {
  static const char end_of_transmission = 4;
  if (p->pty >= 0 && p->input.fd >= 0 && write(p->input.fd, &end_of_transmission, 1) < 0) {
    refuse_input(p);
  }
  drop_watch(&p->input);
}

static void pump_input(struct proc *p) {
  while (p->input.fd >= 0 && p->input_written < p->input_received) {
    size_t at = (size_t)(p->input_written % INPUT_BUFFER), n = (size_t)(p->input_received - p->input_written);
    n = INPUT_BUFFER - at < n ? INPUT_BUFFER - at : n;
    ssize_t done = write(p->input.fd, p->input_buffer + at, n);
    if (done < 0 && errno == EINTR) {
      continue;
    }
    if (done < 0 && errno == EAGAIN) {
      loop_change(&p->input, EPOLLOUT);
      break;
    }
    if (done <= 0) {
      refuse_input(p);
      return;
    }
    p->input_written += (uint64_t)done;
  }
  bool empty = p->input_written == p->input_received;
  if (!p->discard_input && p->input_written + INPUT_BUFFER >= p->input_limit + INPUT_BUFFER / 4) {
    p->input_limit = p->input_written + INPUT_BUFFER;
    send_input_window(p, p->input_limit);
  }
  if (empty && p->input.fd >= 0) {
    loop_change(&p->input, 0);
    if (p->input_ended) {
      finish_input(p);
    }
  }
}

static void on_input(struct watch *watch, uint32_t events) {
  struct proc *p = (struct proc *)(void *)((char *)watch - offsetof(struct proc, input));
  if (events & (EPOLLERR | EPOLLHUP)) {
    refuse_input(p);
  } else {
    pump_input(p);
  }
}

void proc_input(struct proc *p, const uint8_t *data, size_t length) {
  if (p->discard_input || p->input.fd < 0) {
    return;
  }
  if (p->input_received + length > p->input_limit) {
    channel_fault("more input than its window allows");
    return;
  }
  for (size_t i = 0; i < length; i++) {
    p->input_buffer[(p->input_received + i) % INPUT_BUFFER] = data[i];
  }
  p->input_received += length;
  pump_input(p);
}

void proc_input_end(struct proc *p) {
  p->input_ended = true;
  if (p->input.fd >= 0) {
    pump_input(p);
  }
}

static bool open_input(struct proc *p, int fd) {
  p->input_buffer = malloc(INPUT_BUFFER);
  p->input = (struct watch){fd, on_input};
  return p->input_buffer != NULL && loop_watch(&p->input, 0);
}

/* ---- starting ---- */

struct ends {
  int parent[3], child[3];
};

static bool make_pipe(int *reader, int *writer, bool parent_reads) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) {
    return false;
  }
  int parent = parent_reads ? fds[0] : fds[1];
  fcntl(parent, F_SETFL, O_NONBLOCK);
  *reader = fds[0], *writer = fds[1];
  return true;
}

static bool make_pipes(struct ends *e, bool in, bool out) {
  bool ok = true;
  if (in) {
    ok = make_pipe(&e->child[0], &e->parent[0], false);
  } else {
    e->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
  if (out) {
    ok = ok && make_pipe(&e->parent[1], &e->child[1], true);
  } else {
    e->child[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
  }
  return ok && make_pipe(&e->parent[2], &e->child[2], true);
}

static bool make_pty(struct proc *p, struct ends *e, const struct process_spec *spec) {
  struct winsize size = {.ws_row = (unsigned short)spec->rows, .ws_col = (unsigned short)spec->columns};
  int unlock = 0;
  p->pty = open(host_test ? "/dev/ptmx" : SYSROOT "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (p->pty < 0 || ioctl(p->pty, TIOCSPTLCK, &unlock) != 0) {
    return false;
  }
  int slave = ioctl(p->pty, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (spec->rows != 0 && spec->columns != 0) {
    ioctl(p->pty, TIOCSWINSZ, &size);
  }
  e->child[0] = slave;
  e->child[1] = fcntl(slave, F_DUPFD_CLOEXEC, 0), e->child[2] = fcntl(slave, F_DUPFD_CLOEXEC, 0);
  e->parent[0] = fcntl(p->pty, F_DUPFD_CLOEXEC, 0), e->parent[1] = fcntl(p->pty, F_DUPFD_CLOEXEC, 0);
  return slave >= 0;
}

static void close_ends(int *ends) {
  for (int i = 0; i < 3; i++) {
    close_fd(&ends[i]);
  }
}

static int open_ns(pid_t pid, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, name);
  return open(path, O_RDONLY | O_CLOEXEC);
}

/* A fork, in new namespaces or inside the workload's; kestrel itself goes back to where it was. */
static pid_t fork_into(bool new_namespaces, int pid_ns) {
  if (pid_ns >= 0) {
    int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (own < 0 || setns(pid_ns, CLONE_NEWPID) != 0) {
      close_fd(&own);
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

/* Everything a fork inherits from PID 1 that its program must not see. */
static void reset_signals(void) {
  sigset_t none;
  for (int i = 1; i < 65; i++) {
    signal(i, SIG_DFL);
  }
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_oom_score(const char *score) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) {
    if (write(fd, score, strlen(score)) < 0) {
      errno = 0;
    }
    close(fd);
  }
}

static void on_status(struct watch *watch, uint32_t events);

static bool adopt_streams(struct proc *p, struct ends *e, size_t ring) {
  bool ok = true;
  if (e->parent[0] >= 0) {
    ok = open_input(p, e->parent[0]);
  } else {
    p->discard_input = true;
  }
  for (int i = 0; i < 2; i++) {
    p->out[i].attached = p->kind != PROC_JOB;
    if (e->parent[i + 1] >= 0) {
      p->out[i].ended = false;
      ok = stream_open(&p->out[i], e->parent[i + 1], ring, p->kind == PROC_WORKLOAD) && ok;
    }
  }
  return ok;
}

static const char *fork_program(struct proc *p, const struct process_spec *spec, struct ends *e) {
  int status[2];
  bool join = p->kind == PROC_EXEC && workload != NULL && !workload->exited;
  struct launch launch = {spec, {e->child[0], e->child[1], e->child[2]}, -1, -1, -1, !host_test && !join, spec->tty};
  if (pipe2(status, O_CLOEXEC) != 0) {
    return "no descriptors left in the guest";
  }
  launch.status = status[1];
  launch.mnt_ns = join ? workload->mnt_ns : -1;
  launch.cgroup_ns = join ? workload->cgroup_ns : -1;
  p->pid = fork_into(launch.new_namespaces, join ? workload->pid_ns : -1);
  if (p->pid == 0) {
    reset_signals();
    set_oom_score("0");
    launch_child(&launch);
  }
  close(status[1]);
  fcntl(status[0], F_SETFL, O_NONBLOCK);
  p->status = (struct watch){status[0], on_status};
  loop_watch(&p->status, EPOLLIN);
  return p->pid < 0 ? strerror(errno) : NULL;
}

const char *proc_start(enum proc_kind kind, uint32_t channel, const struct process_spec *spec) {
  struct proc *p = proc_new(kind, channel);
  if (p == NULL) {
    return "the guest is out of memory";
  }
  struct ends e = {{-1, -1, -1}, {-1, -1, -1}};
  bool ok = spec->tty ? make_pty(p, &e, spec) : make_pipes(&e, spec->stdin_open, true);
  const char *error = ok ? fork_program(p, spec, &e) : "no terminals or descriptors left in the guest";
  close_ends(e.child);
  if (error != NULL) {
    close_ends(e.parent);
    proc_free(p);
    return error;
  }
  if (!adopt_streams(p, &e, kind == PROC_WORKLOAD ? WORKLOAD_RING : EXEC_RING)) {
    kill(p->pid, SIGKILL);
  }
  return NULL;
}

/* The status pipe closes when the program runs, or brings the reason why it does not. */
static void on_status(struct watch *watch, uint32_t events) {
  struct proc *p = (struct proc *)(void *)((char *)watch - offsetof(struct proc, status));
  (void)events;
  ssize_t n = read(watch->fd, p->report + p->report_length, sizeof p->report - 1 - p->report_length);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (n > 0) {
    p->report_length += (size_t)n;
    return;
  }
  drop_watch(&p->status);
  p->report[p->report_length] = 0;
  if (p->kind == PROC_JOB) {
    return;
  }
  p->answered = true;
  if (p->report_length > 2) {
    /* Reaped as any other; its channel has ended with the answer. */
    channel_answer(p->channel, get16((const uint8_t *)p->report), p->report + 2);
    p->orphaned = true;
    if (workload == p) {
      workload = NULL;
      workload_failed();
    }
    stream_attach(&p->out[0], false), stream_attach(&p->out[1], false);
    return;
  }
  if (!host_test && p->kind == PROC_WORKLOAD) {
    p->pid_ns = open_ns(p->pid, "pid"), p->mnt_ns = open_ns(p->pid, "mnt"), p->cgroup_ns = open_ns(p->pid, "cgroup");
  }
  struct writer w;
  w.length = 0, w.full = false;
  write_int(&w, 2, (uint64_t)p->pid);
  channel_answer_fields(p->channel, &w);
}

struct proc *job_start(uint32_t channel, int streams, job_fn *fn, void *argument, void (*finished)(struct proc *, bool)) {
  struct proc *p = proc_new(PROC_JOB, channel);
  struct ends e = {{-1, -1, -1}, {-1, -1, -1}};
  if (p == NULL || !make_pipes(&e, streams & JOB_INPUT, streams & JOB_OUTPUT) || (p->pid = fork()) < 0) {
    close_ends(e.child), close_ends(e.parent);
    if (p != NULL) {
      proc_free(p);
    }
    channel_answer(channel, STATUS_REFUSED, "the guest is out of memory or descriptors");
    return NULL;
  }
  if (p->pid == 0) {
    reset_signals();
    for (int i = 0; i < 3; i++) {
      dup2(e.child[i], i);
    }
    syscall(SYS_close_range, 3, ~0U, 0);
    _exit(fn(argument) == 0 ? 0 : 1);
  }
  close_ends(e.child);
  p->finished = finished;
  /* A job's stderr is its report, read like the status of a program. */
  p->status = (struct watch){e.parent[2], on_status};
  loop_watch(&p->status, EPOLLIN);
  e.parent[2] = -1;
  adopt_streams(p, &e, EXEC_RING);
  return p;
}

/* ---- ending ---- */

void write_exit(struct writer *w, const struct exit_report *report) {
  write_int(w, 10, (uint64_t)report->code);
  write_int(w, 11, (uint64_t)report->signal);
  write_int(w, 12, report->oom);
}

static void send_exit(const struct proc *p) {
  struct writer w;
  w.length = 0, w.full = false;
  write_exit(&w, &p->exit);
  channel_send(F_EXIT, 0, p->channel, w.bytes, w.length);
}

static void on_exit_of(struct proc *p, int status) {
  p->exited = true;
  p->exit.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  p->exit.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  /* A shell or an init hands on its child's end as code 137. */
  p->exit.oom = p->exit.code == 128 + SIGKILL && oom_kills() > p->oom_kills_before;
  p->drain_until = now_ms() + DRAIN_MS;
  if (p->status.fd >= 0) {
    on_status(&p->status, 0);
  }
  if (p->kind == PROC_JOB || p->orphaned) {
    return;
  }
  if (!p->answered) {
    channel_answer(p->channel, STATUS_REFUSED, "the program ended before it began");
    p->orphaned = true;
    return;
  }
  refuse_input(p);
  send_exit(p);
  if (p == workload && on_workload_exit != NULL) {
    on_workload_exit();
  }
}

/* A new host takes over the workload: the window of its input, and its end if it came meanwhile. */
void proc_attached(struct proc *p) {
  send_input_window(p, p->discard_input ? UINT64_MAX : p->input_limit);
  if (p->exited) {
    send_exit(p);
  }
}

void procs_reap(void) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    for (struct proc *p = procs; p != NULL; p = p->next) {
      if (p->pid == pid && !p->exited) {
        on_exit_of(p, status);
        break;
      }
    }
  }
}

/* A child of an ended program may hold its pipes for ever; what is in them by now is all there is. */
static bool drain(struct proc *p) {
  bool waiting = false;
  for (int i = 0; i < 2; i++) {
    struct stream *s = &p->out[i];
    if (s->open && p->drain_until <= now_ms()) {
      stream_read(s);
      if (s->open && s->end - s->start < s->capacity) {
        loop_unwatch(&s->watch);
        close(s->watch.fd);
        s->open = s->watched = false, s->ended = true;
      }
    }
    waiting = waiting || s->open;
  }
  return waiting;
}

static void on_drain(struct timer *timer) { (void)timer; }

static bool sent_all(const struct stream *s) { return s->ended && (!s->attached || s->end_sent); }

static void finish_job(struct proc *p) {
  bool ok = p->exit.code == 0;
  char *text = p->report;
  while (p->report_length > 0 && text[p->report_length - 1] == '\n') {
    text[--p->report_length] = 0;
  }
  if (p->finished != NULL) {
    p->finished(p, ok);
  } else if (!p->orphaned) {
    channel_answer(p->channel, ok ? STATUS_OK : STATUS_REFUSED, ok ? NULL : p->report_length > 0 ? text : "the guest's helper died");
  }
  proc_free(p);
}

static void drain_all(void) {
  bool waiting = false;
  for (struct proc *p = procs; p != NULL; p = p->next) {
    waiting = (p->exited && drain(p)) || waiting;
  }
  if (waiting) {
    drain_timer.fn = on_drain;
    timer_start(&drain_timer, DRAIN_MS);
  } else {
    timer_stop(&drain_timer);
  }
}

/* A frame of each stream in turn, so that nobody's flood holds up the others. */
static void send_all(void) {
  for (bool more = true; more && channel_has_room();) {
    more = false;
    for (struct proc *p = procs; p != NULL; p = p->next) {
      bool live = p->answered || p->kind == PROC_JOB;
      more = (live && stream_send(&p->out[0], p->channel, 1)) || more;
      more = (live && stream_send(&p->out[1], p->channel, 2)) || more;
    }
  }
}

static bool is_over(const struct proc *p) {
  if (p->kind == PROC_JOB) {
    return p->status.fd < 0 && sent_all(&p->out[0]);
  }
  return p->orphaned ? !p->out[0].open && !p->out[1].open : p->kind == PROC_EXEC && sent_all(&p->out[0]) && sent_all(&p->out[1]);
}

/* Called once per round: sends what may be sent and forgets what is over. */
void procs_pump(void) {
  drain_all();
  send_all();
  for (struct proc *p = procs, *next; p != NULL; p = next) {
    next = p->next;
    if (p->exited && is_over(p)) {
      if (p->kind == PROC_JOB) {
        finish_job(p);
      } else {
        proc_free(p);
      }
    }
  }
}

bool procs_drained(void) { return workload == NULL || (sent_all(&workload->out[0]) && sent_all(&workload->out[1])); }

/* The host does not want this channel any more: a transfer ends, a program goes on unheard. */
void proc_drop(struct proc *p) {
  if (p->kind == PROC_JOB && p->finished == NULL) {
    kill(p->pid, SIGKILL);
  }
  p->orphaned = p != workload;
  stream_attach(&p->out[0], false), stream_attach(&p->out[1], false);
  if (p != workload) {
    p->discard_input = true;
    drop_watch(&p->input);
    if (p->pty >= 0 && !p->exited) {
      kill(p->pid, SIGHUP);
    }
  }
}

void procs_session(bool is_connected) {
  for (struct proc *p = procs; !is_connected && p != NULL; p = p->next) {
    if (!p->orphaned) {
      proc_drop(p);
    }
  }
}
