#ifndef STEP_CACHE_H
#define STEP_CACHE_H

#include "requests/process_spec.h"

/* The folder of a cache, made on its first use: empty, or as a copy. -1 with a problem said (step_source.h). */
int step_open_cache(const struct step_mount *m);

#endif
