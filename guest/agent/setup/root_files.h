/* Small files (identity, secrets, configs): their contents are on a tmpfs of the agent's, bound into the root. */
#ifndef ROOT_FILES_H
#define ROOT_FILES_H

#include <sys/types.h>

#include "requests/machine_config.h"

/* `viewer`: 0, or a process with mounts of its own that does not get those of the root. `reason`: of the failure to write
 * one. Failures are said by fail(). */
int write_files(const struct file_spec *files, size_t count, pid_t viewer, unsigned reason);
/* Uncovers what the root has in their places. */
void take_files_away(const struct file_spec *files, size_t count);

#endif
