/* Programs and jobs of the guest: the list of them, starting, standard streams. Their ends are in process_end.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ends.h"
#include "kestrel.h"

enum { WORKLOAD_RING = 1 << 20, EXEC_RING = 64 << 10 };

struct proc *procs, *workload;

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
  p->oom_kills_before = oom_kills_known();
  p->pty = p->pid_ns = p->mnt_ns = p->cgroup_ns = p->input.fd = p->status.fd = -1;
  p->input_limit = INPUT_BUFFER;
  p->out[0].ended = p->out[1].ended = true;
  p->next = procs;
  procs = p;
  return p;
}

void proc_close_views(struct proc *p) { close_fd(&p->pid_ns), close_fd(&p->mnt_ns), close_fd(&p->cgroup_ns); }

void proc_free(struct proc *p) {
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
  close_fd(&p->pty);
  proc_close_views(p);
  free(p->input_buffer);
  free(p);
}

/* ---- starting ---- */

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
  struct launch launch = {spec, {e->child[0], e->child[1], e->child[2]}, -1, -1, -1, !host_test && !join, false};
  if (pipe2(status, O_CLOEXEC) != 0) {
    return "no descriptors left in the guest";
  }
  launch.status = status[1];
  launch.mnt_ns = join ? workload->mnt_ns : -1;
  launch.cgroup_ns = join ? workload->cgroup_ns : -1;
  p->pid = fork_into(launch.new_namespaces, join ? workload->pid_ns : -1);
  if (p->pid == 0) {
    launch_child(&launch);
  }
  close(status[1]);
  fcntl(status[0], F_SETFL, O_NONBLOCK);
  p->status = (struct watch){status[0], proc_status};
  loop_watch(&p->status, EPOLLIN);
  return p->pid < 0 ? strerror(errno) : NULL;
}

const char *proc_start(enum proc_kind kind, uint32_t channel, const struct process_spec *spec) {
  struct proc *p = proc_new(kind, channel);
  if (p == NULL) {
    return "the guest is out of memory";
  }
  struct ends e = {{-1, -1, -1}, {-1, -1, -1}};
  bool staged = kind == PROC_WORKLOAD && launcher_start(p, spec, &e);
  bool ok = staged || (spec->tty ? ends_pty(&e, spec, &p->pty) : ends_pipes(&e, spec->stdin_open, true));
  const char *error = staged ? NULL : ok ? fork_program(p, spec, &e) : "no terminals or descriptors left in the guest";
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
void proc_status(struct watch *watch, uint32_t events) {
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
  if (!host_test && p->kind == PROC_WORKLOAD && p->pid_ns < 0) {
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
  p->status = (struct watch){e.parent[2], proc_status};
  loop_watch(&p->status, EPOLLIN);
  e.parent[2] = -1;
  adopt_streams(p, &e, EXEC_RING);
  return p;
}
