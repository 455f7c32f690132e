#include "process/process_end.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/failure.h"
#include "link/host_link.h"
#include "process/launcher.h"
#include "process/members.h"
#include "process/mirrors.h"
#include "process/oom.h"

enum { DRAIN_MS = 500 };

static void (*on_workload_exit)(void);
static struct timer drain_timer;

void procs_on_workload_exit(void (*exited)(void)) { on_workload_exit = exited; }

void write_exit(struct writer *w, const struct exit_report *report) {
  write_int(w, TAG_EXIT_CODE, (uint64_t)report->code);
  write_int(w, TAG_EXIT_SIGNAL, (uint64_t)report->signal);
  write_int(w, TAG_EXIT_OOM, report->oom);
}

static void send_exit(const struct proc *p) {
  struct writer w;
  writer_init(&w);
  write_exit(&w, &p->exit);
  link_send(FRAME_EXIT, 0, p->channel, w.bytes, w.length);
}

static void on_exit_of(struct proc *p, int status) {
  p->exited = true;
  p->exit.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  p->exit.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  /* A shell or an init passes on its child's end as code 137; the step of a build may fail because any of its programs did. */
  bool failed = p->kind == PROC_EXEC && workload == NULL ? p->exit.code != 0 : p->exit.code == 128 + SIGKILL;
  p->exit.oom = failed && oom_kills() > p->oom_kills_before;
  p->drain_until = now_ms() + DRAIN_MS;
  /* Its report and the end of the pipe are two reads; SIGCHLD may come before both. */
  for (size_t before = SIZE_MAX; p->status.fd >= 0 && before != p->report_length;) {
    before = p->report_length;
    proc_read_status(p);
  }
  if (p->kind == PROC_JOB || p->orphaned) {
    return;
  }
  if (!p->answered) {
    link_refuse(p->channel, STATUS_REFUSED, REASON_PROCESS, "the program ended before it began");
    p->orphaned = true;
    return;
  }
  input_refuse(&p->input);
  send_exit(p);
  if (p == workload) {
    on_workload_exit();
  }
}

void proc_attach(struct proc *p, uint32_t channel) {
  struct writer w;
  p->channel = channel;
  stream_attach(&p->out[0], true), stream_attach(&p->out[1], true);
  writer_init(&w);
  write_int(&w, TAG_ANSWER_PID, (uint64_t)p->pid);
  write_int(&w, TAG_ANSWER_OUTPUT_START, p->out[0].start), write_int(&w, TAG_ANSWER_ERROR_START, p->out[1].start);
  write_int(&w, TAG_ANSWER_INPUT_RECEIVED, p->input.received);
  link_answer_fields(channel, &w);
  input_attach(&p->input, channel);
  if (p->exited) {
    send_exit(p);
  }
}

void procs_reap(void) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    launcher_gone(pid);
    member_gone(pid);
    mirror_gone(pid);
    for (struct proc *p = procs; p != NULL; p = p->next) {
      if (p->pid == pid && !p->exited) {
        on_exit_of(p, status);
        break;
      }
    }
  }
}

/* A child of an ended program may keep its pipes open for ever: what is in them by now is all that is read. */
static bool drain(struct proc *p) {
  bool waiting = false;
  for (int i = 0; i < 2; i++) {
    struct stream *s = &p->out[i];
    if (s->open && p->drain_until <= now_ms()) {
      stream_read(s);
      if (s->open && s->end - s->start < s->capacity) {
        stream_end(s);
      }
    }
    waiting = waiting || s->open;
  }
  return waiting;
}

static void on_drain(struct timer *timer) { (void)timer; }

static void finish_job(struct proc *p) {
  bool ok = p->exit.code == 0;
  p->reason = read_failure(p->report, &p->report_length);
  if (!ok && p->report_length == 0) {
    p->report_length = (size_t)snprintf(p->report, sizeof p->report, "the guest's helper died");
  }
  if (p->finished != NULL) {
    p->finished(p, ok);
  } else if (!p->orphaned && ok) {
    link_answer_done(p->channel);
  } else if (!p->orphaned) {
    link_refuse(p->channel, STATUS_REFUSED, p->reason, p->report);
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

/* One frame of each stream in turn, so that a stream with much output does not hold up the others. */
static void send_all(void) {
  for (bool more = true; more && link_has_room();) {
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
    return p->status.fd < 0 && stream_is_sent(&p->out[0]);
  }
  return p->orphaned ? !p->out[0].open && !p->out[1].open : p->kind == PROC_EXEC && stream_is_sent(&p->out[0]) && stream_is_sent(&p->out[1]);
}

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

bool procs_drained(void) { return workload == NULL || (stream_is_sent(&workload->out[0]) && stream_is_sent(&workload->out[1])); }

void proc_drop(struct proc *p) {
  if (p->kind == PROC_JOB && p->finished == NULL && !p->exited) {
    kill(p->pid, SIGKILL);
  }
  p->orphaned = p != workload;
  stream_attach(&p->out[0], false), stream_attach(&p->out[1], false);
  if (p != workload) {
    input_forget(&p->input);
    if (p->pty >= 0 && !p->exited) {
      kill(p->pid, SIGHUP);
    }
  }
}

void procs_detach(void) {
  for (struct proc *p = procs; p != NULL; p = p->next) {
    if (!p->orphaned) {
      proc_drop(p);
    }
  }
}
