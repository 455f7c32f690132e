/* What one step of a build has mounted. All of it is in the mount namespace of the step's program and goes with it; what has
 * to be there for it outside (mount points, scratch folders) is taken away by step_release. */
#ifndef STEP_MOUNTS_H
#define STEP_MOUNTS_H

#include "requests/process_spec.h"

/* NULL, or what is wrong. */
const char *step_mount_all(const struct step_mount *mounts, size_t count);

#endif
