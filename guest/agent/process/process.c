#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/fork.h"
#include "lib/host_test.h"
#include "link/host_link.h"
#include "process/launch.h"
#include "process/launcher.h"
#include "process/oom.h"
#include "process/std_streams.h"

enum { WORKLOAD_RING = 1 << 20, EXEC_RING = 64 << 10 };

struct proc *procs, *workload;
static void (*on_workload_failed)(void);

void procs_on_workload_failed(void (*failed)(void)) { on_workload_failed = failed; }

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
  p->kind = kind, p->channel = channel, p->started = now_ms();
  p->oom_kills_before = oom_kills_known();
  p->pty = p->pid_ns = p->mnt_ns = p->cgroup_ns = p->status.fd = -1;
  input_init(&p->input, channel);
  p->out[0].ended = p->out[1].ended = true;
  p->next = procs;
  procs = p;
  return p;
}

pid_t proc_with_own_mounts(void) { return workload != NULL && !workload->exited && !workload->prestarted ? workload->pid : 0; }

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
  input_close(&p->input);
  watch_close(&p->status);
  close_fd(&p->pty);
  proc_close_views(p);
  free(p);
}

/* ---- starting ---- */

static void open_views(struct proc *p) {
  p->pid_ns = open_ns(p->pid, "pid"), p->mnt_ns = open_ns(p->pid, "mnt"), p->cgroup_ns = open_ns(p->pid, "cgroup");
}

/* It is reaped as any other process; its channel has ended with the answer. */
static void fail_to_start(struct proc *p) {
  const uint8_t *head = (const uint8_t *)p->report;
  link_refuse(p->channel, get16(head), get16(head + 2), p->report + LAUNCH_HEAD);
  p->orphaned = true;
  if (workload == p) {
    workload = NULL;
    on_workload_failed();
  }
  stream_attach(&p->out[0], false), stream_attach(&p->out[1], false);
}

/* The status pipe closes when the program runs, or brings the reason why it does not. */
void proc_read_status(struct proc *p) {
  ssize_t n = read(p->status.fd, p->report + p->report_length, sizeof p->report - 1 - p->report_length);
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
  if (p->report_length >= LAUNCH_HEAD) {
    fail_to_start(p);
    return;
  }
  if (!host_test && p->kind == PROC_WORKLOAD && p->pid_ns < 0) {
    open_views(p);
  }
  struct writer w;
  writer_init(&w);
  write_int(&w, TAG_ANSWER_PID, (uint64_t)p->pid);
  link_answer_fields(p->channel, &w);
}

static void on_status(struct watch *watch, uint32_t events) {
  (void)events;
  proc_read_status((struct proc *)(void *)((char *)watch - offsetof(struct proc, status)));
}

static void watch_status(struct proc *p, int fd) {
  p->status = (struct watch){fd, on_status};
  loop_watch(&p->status, EPOLLIN);
}

static bool adopt_streams(struct proc *p, struct std_streams *streams, size_t ring) {
  bool ok = true;
  if (streams->parent[0] >= 0) {
    ok = input_open(&p->input, streams->parent[0], p->pty >= 0);
  } else {
    input_forget(&p->input);
  }
  for (int i = 0; i < 2; i++) {
    p->out[i].attached = p->kind != PROC_JOB;
    if (streams->parent[i + 1] >= 0) {
      p->out[i].ended = false;
      ok = stream_open(&p->out[i], streams->parent[i + 1], ring, p->kind == PROC_WORKLOAD) && ok;
    }
  }
  return ok;
}

static const char *fork_program(struct proc *p, const struct process_spec *spec, struct std_streams *streams) {
  int status[2];
  bool join = p->kind == PROC_EXEC && workload != NULL && !workload->exited;
  struct launch launch = {spec, {streams->child[0], streams->child[1], streams->child[2]}, -1, -1, -1, !host_test && !join, false};
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
  watch_status(p, status[0]);
  return p->pid < 0 ? strerror(errno) : NULL;
}

static bool use_prestarted(struct proc *p, const struct process_spec *spec, struct std_streams *streams) {
  struct prestarted it;
  if (!launcher_start(spec, &it)) {
    return false;
  }
  p->pid = it.pid, p->prestarted = true;
  p->pid_ns = it.pid_ns, p->mnt_ns = it.mnt_ns, p->cgroup_ns = it.cgroup_ns;
  watch_status(p, it.status);
  *streams = it.streams;
  return true;
}

const char *proc_start(enum proc_kind kind, uint32_t channel, const struct process_spec *spec) {
  struct proc *p = proc_new(kind, channel);
  if (p == NULL) {
    return "the guest is out of memory";
  }
  struct std_streams streams = NO_STREAMS;
  bool prestarted = kind == PROC_WORKLOAD && use_prestarted(p, spec, &streams);
  bool ok = prestarted || (spec->tty ? std_streams_pty(&streams, spec, &p->pty) : std_streams_pipes(&streams, spec->stdin_open, true));
  const char *error = prestarted ? NULL : ok ? fork_program(p, spec, &streams) : "no terminals or descriptors left in the guest";
  std_streams_close(streams.child);
  if (error != NULL) {
    std_streams_close(streams.parent);
    proc_free(p);
    return error;
  }
  if (!adopt_streams(p, &streams, kind == PROC_WORKLOAD ? WORKLOAD_RING : EXEC_RING)) {
    kill(p->pid, SIGKILL);
  }
  return NULL;
}

struct proc *job_start(uint32_t channel, int directions, job_fn *fn, void *argument, void (*finished)(struct proc *, bool)) {
  struct proc *p = proc_new(PROC_JOB, channel);
  struct std_streams streams = NO_STREAMS;
  if (p == NULL || !std_streams_pipes(&streams, directions & JOB_INPUT, directions & JOB_OUTPUT) || (p->pid = fork()) < 0) {
    std_streams_close(streams.child), std_streams_close(streams.parent);
    if (p != NULL) {
      proc_free(p);
    }
    link_refuse(channel, STATUS_REFUSED, REASON_RESOURCES, "the guest is out of memory or descriptors");
    return NULL;
  }
  if (p->pid == 0) {
    reset_signals();
    for (int i = 0; i < 3; i++) {
      dup2(streams.child[i], i);
    }
    syscall(SYS_close_range, 3, ~0U, 0);
    _exit(fn(argument) == 0 ? 0 : 1);
  }
  std_streams_close(streams.child);
  p->finished = finished;
  /* A job's stderr is its report, read like the status of a program. */
  watch_status(p, streams.parent[2]);
  streams.parent[2] = -1;
  adopt_streams(p, &streams, EXEC_RING);
  return p;
}
