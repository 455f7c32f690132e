/* Programs and jobs of the guest: the list of them, and how they are started. Their ends are in process_end.h. */
#ifndef PROCESS_H
#define PROCESS_H

#include <sys/types.h>

#include "lib/wire.h"
#include "link/input.h"
#include "link/stream.h"
#include "requests/process_spec.h"

enum proc_kind { PROC_WORKLOAD, PROC_EXEC, PROC_JOB };
struct exit_report {
  int code, signal;
  bool oom;
};
struct proc {
  struct proc *next;
  enum proc_kind kind;
  uint32_t channel;
  pid_t pid;
  /* `answered`: the host knows that it runs. `orphaned`: nobody listens to it any more. `prestarted`: see launch_report.h.
   * `told_stuck`: see stuck_start.h. */
  bool exited, answered, orphaned, prestarted, told_stuck;
  struct exit_report exit;
  int pty, pid_ns, mnt_ns, cgroup_ns;
  struct input input;
  struct stream out[2];
  /* Brings why it does not start (launch_report.h), or what a job says on stderr. Of a job that has ended, the text alone. */
  struct watch status;
  char report[4096];
  size_t report_length;
  uint16_t reason;
  void (*finished)(struct proc *proc, bool ok);
  uint64_t started, drain_until, oom_kills_before;
};
extern struct proc *procs;
extern struct proc *workload;

/* NULL when there is none, or nobody listens to it any more. */
struct proc *proc_by_channel(uint32_t channel);
/* The answer is sent when it runs. NULL, or what there is not enough of. */
const char *proc_start(enum proc_kind kind, uint32_t channel, const struct process_spec *spec);
/* To be told when the workload turned out not to start: it may be tried again. */
void procs_on_workload_failed(void (*failed)(void));
typedef int job_fn(void *argument);
enum { JOB_INPUT = 1, JOB_OUTPUT = 2 };
/* Runs `fn` in a fork, with stdin/stdout on the channel; what it prints on stderr is the error's text. NULL, with the
 * refusal sent, where it cannot be started. */
struct proc *job_start(uint32_t channel, int streams, job_fn *fn, void *argument, void (*finished)(struct proc *, bool));
/* Reads what a program that does not start, or a job, says. */
void proc_read_status(struct proc *proc);
/* The workload, if it runs and sees the root's mounts only as they were when it began; else 0. */
pid_t proc_with_own_mounts(void);
void proc_close_views(struct proc *proc);
void proc_free(struct proc *proc);

#endif
