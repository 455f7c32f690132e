/* Tells the programs that watch a share what was edited outside of this machine, as if it had been edited here. */
#ifndef TELL_EDITS_H
#define TELL_EDITS_H

#include "requests/edits.h"

/* A job. First the kernel learns what the host has there now; then watchers hear of it. Nothing is changed on the host. */
int tell_edits(void *edits);

#endif
