/*
 * The workload's process, started before it is known what it runs: in a template with a root it waits in its namespaces,
 * with the root at /, so that no clone has to fork and mount. The request to start goes to it through a pipe, and it goes on
 * as any other program (launch.h). A program for which these pipes and namespaces do not fit is forked as usual.
 */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <sys/types.h>

#include "process/std_streams.h"

struct prestarted {
  pid_t pid;
  int status, pid_ns, mnt_ns, cgroup_ns;
  struct std_streams streams;
};

/* Starts it; says on the console why if it cannot. */
void launcher_prestart(void);
/* The root has become read-only: it makes its own so when it starts. */
void launcher_read_only(void);
/* A process was reaped, which it may have been. */
void launcher_gone(pid_t pid);
/* Ends it if it still waits. */
void launcher_drop(void);
/* Lets it run a program; false when none waits or it does not fit. None waits afterwards. */
bool launcher_start(const struct process_spec *spec, struct prestarted *out);

#endif
