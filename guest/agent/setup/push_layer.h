#ifndef PUSH_LAYER_H
#define PUSH_LAYER_H

#include <stdbool.h>

/* In a job of a build machine: the writable layer becomes one of those below, and a new one begins. With a tar on stdin
 * that is unpacked first, whiteouts included. Failures are said by fail(). */
int push_layer(bool with_tar);
/* In a job, too: only the first `keep` layers stay below, and a new writable one begins. */
int drop_layers(int keep);

#endif
