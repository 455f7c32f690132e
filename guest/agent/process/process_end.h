/* How programs and jobs of the guest end: reaping, the rest of their output, what a lost host means for each. */
#ifndef PROCESS_END_H
#define PROCESS_END_H

#include "process/process.h"

/* To be told when the workload ends. */
void procs_on_workload_exit(void (*exited)(void));
void procs_reap(void);
/* Once in each round: sends what may be sent and forgets what is over. */
void procs_pump(void);
/* The session with a host is over. */
void procs_detach(void);
/* A new host takes over the workload: it hears where the streams are, the window of the input, and the end if that came meanwhile. */
void proc_attach(struct proc *proc, uint32_t channel);
/* The host does not want this channel any more: a transfer ends, a program goes on unheard. */
void proc_drop(struct proc *proc);
/* Whether the host has all output of the workload. */
bool procs_drained(void);
void write_exit(struct writer *w, const struct exit_report *exit);

#endif
