#ifndef VOLUMES_H
#define VOLUMES_H

#include "requests/machine_config.h"

/* Volumes, shares and tmpfs, mounted where they are wanted inside the root. Failures are said by fail(). */
int mount_volumes(const struct mount_config *mounts, size_t count);

#endif
