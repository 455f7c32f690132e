/* What is done outside of a step, in jobs, for what it mounts. Failures are said by fail(). */
#ifndef STEP_RELEASE_H
#define STEP_RELEASE_H

#include <stddef.h>

/* A folder of contents from the tar on stdin. */
int step_stage(const char *name);
/* The end of a step: its mount points and scratch folders go, and its disks (names between blanks) are free then. */
int step_release(const char *serials);
/* A mount point that was made for a step. */
void step_remember_stub(const char *path, size_t length);

#endif
