/* Forks of PID 1: into which namespaces, and what they must not inherit. */
#ifndef FORK_H
#define FORK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A descriptor of a namespace of a process; -1 when it is gone. */
int open_ns(pid_t pid, const char *name);
/* A fork, in new namespaces or (with `pid_ns` ≥ 0) in that of another process; the agent itself stays where it is. */
pid_t fork_into(bool new_namespaces, int pid_ns);
/* Signal handlers and masks that a program must not inherit. */
void reset_signals(void);
void set_oom_score(const char *score);
/* Closes all descriptors but these; numbers below 0 are none. */
void keep_only(const int *fds, size_t count);

#endif
