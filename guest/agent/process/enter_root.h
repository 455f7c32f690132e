/* Puts a program into its namespaces, its root and its control group. Runs in the child. */
#ifndef ENTER_ROOT_H
#define ENTER_ROOT_H

#include "process/launch_report.h"

/* A view of its own: the root at /, a /proc of its own process tree, its part of the cgroup tree. */
void enter_new_root(const struct launch *launch);
/* The view of the running workload. */
void join_workload(const struct launch *launch);

#endif
