/* How a program is started, and how the child says that it cannot be. */
#ifndef LAUNCH_REPORT_H
#define LAUNCH_REPORT_H

#include "requests/process_spec.h"

struct launch {
  const struct process_spec *spec;
  int stdio[3], status, mnt_ns, cgroup_ns;
  /* `prestarted`: made before it is known what it runs (launcher.h). What PID 1 mounts in the root appears in its root too,
   * and it has no descriptors but its own. */
  bool new_namespaces, prestarted;
};

/* What is before the text on the status pipe: u16 status, u16 reason. */
enum { LAUNCH_HEAD = 4 };
/* Ends the child with the reason on its status pipe. */
_Noreturn void launch_fail(int status_fd, int status, int reason, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* For everything but an executable that is missing or cannot be run. */
#define launch_refuse(status_fd, reason, ...) launch_fail(status_fd, STATUS_REFUSED, reason, __VA_ARGS__)

#endif
