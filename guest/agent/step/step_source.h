/* Where the contents of a step's mounts come from: disks, staged folders. */
#ifndef STEP_SOURCE_H
#define STEP_SOURCE_H

#include "lib/paths.h"
#include "requests/process_spec.h"

/* A tmpfs of the step: its disks, its secrets. */
#define STEP PRIVATE "/step"
/* On the writable disk: contents from the host, and the upper folders of writable binds. */
#define STAGED LAYERS "/staged"
#define SCRATCH LAYERS "/scratch"

/* A name of one part that is not hidden. */
bool is_plain_name(const char *name);
/* Says what is wrong with a mount, with errno; the first thing that goes wrong is the one to report. Always -1. */
int step_problem(const struct step_mount *m, const char *what);
/* What was said, or NULL. */
const char *step_first_problem(void);

/* Mounts a disk; once in a step, however many places it has. Its place comes in `out`; 0, or -1 with a problem said. */
int step_disk(const struct step_mount *m, const char *serial, bool image, char *out, size_t size);
/* The place of a staged folder or of the disk of an image. */
int step_content(const struct step_mount *m, uint32_t kind, const char *source, char *out, size_t size);
/* Opens a path in such a place. */
int step_open(const struct step_mount *m, const char *base, const char *below, int flags);

#endif
