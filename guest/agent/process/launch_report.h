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

/* Ends the child with the reason on its status pipe: u16 status, text. */
_Noreturn void launch_fail(int status_fd, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
