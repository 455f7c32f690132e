/* Programs and jobs of the guest: starting, standard streams, reaping, what a lost host means for each. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ends.h"
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
  watch_close(&p->input);
  watch_close(&p->status);
  close_fd(&p->pty), close_fd(&p->pid_ns), close_fd(&p->mnt_ns), close_fd(&p->cgroup_ns);
  free(p->input_buffer);
  free(p);
}

/* ---- starting ---- */

static void on_status(struct watch *watch, uint32_t events);

static bool adopt_streams(struct proc *p, struct ends *e, size_t ring) {
  bool ok = true;
  if (e->parent[0] >= 0) {
    ok = input_open(p, e->parent[0]);
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
  bool ok = spec->tty ? ends_pty(&e, spec, &p->pty) : ends_pipes(&e, spec->stdin_open, true);
  const char *error = ok ? fork_program(p, spec, &e) : "no terminals or descriptors left in the guest";
  ends_close(e.child);
  if (error != NULL) {
    ends_close(e.parent);
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
  watch_close(&p->status);
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
  if (p == NULL || !ends_pipes(&e, streams & JOB_INPUT, streams & JOB_OUTPUT) || (p->pid = fork()) < 0) {
    ends_close(e.child), ends_close(e.parent);
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
  ends_close(e.child);
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
  /* A shell or an init hands on its child's end as code 137; the step of a build may be the end of any of its programs. */
  bool failed = p->kind == PROC_EXEC && workload == NULL ? p->exit.code != 0 : p->exit.code == 128 + SIGKILL;
  p->exit.oom = failed && oom_kills() > p->oom_kills_before;
  p->drain_until = now_ms() + DRAIN_MS;
  /* What it said and the end of it are two reads; news of its death may come before either. */
  for (size_t before = SIZE_MAX; p->status.fd >= 0 && before != p->report_length;) {
    before = p->report_length;
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
  input_refuse(p);
  send_exit(p);
  if (p == workload && on_workload_exit != NULL) {
    on_workload_exit();
  }
}

/* A new host takes over the workload: the window of its input, and its end if it came meanwhile. */
void proc_attached(struct proc *p) {
  input_window(p, p->discard_input ? UINT64_MAX : p->input_limit);
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
    watch_close(&p->input);
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
