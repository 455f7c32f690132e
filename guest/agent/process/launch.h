/* From fork to execve: everything here runs in the child, and ends in the program or in a reason. */
#ifndef LAUNCH_H
#define LAUNCH_H

#include "process/launch_report.h"

/* What is the same for all programs. */
void launch_common(void);
_Noreturn void launch_child(const struct launch *launch);
/* What is the program's own, where it is in its root and its namespaces already. */
_Noreturn void launch_program(const struct launch *launch);

#endif
