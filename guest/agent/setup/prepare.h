/* What makes a waiting machine a replica: identity, devices, root, mounts, files. Runs in a job where something may have to
 * be waited for. Failures are said by fail(). */
#ifndef PREPARE_H
#define PREPARE_H

#include "requests/machine_config.h"

int prepare_machine(const struct machine_config *config);
/* What of that depends on nothing but the disks, for a template whose clones all begin with the same two. */
int prepare_root(const struct machine_config *config);
/* Milliseconds since the epoch. */
int set_clock(uint64_t ms);

#endif
