/* How programs and jobs of the guest end: reaping, the rest of their output, what a lost host means for each. */
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kestrel.h"

enum { DRAIN_MS = 500 };

void (*on_workload_exit)(void);
static struct timer drain_timer;

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
    proc_status(&p->status, 0);
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
    launcher_gone(pid);
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
