#ifndef CAPS_H
#define CAPS_H

#include <sys/types.h>

#include "requests/process_spec.h"

/* Capabilities: docker's default set, what is added and dropped, everything when privileged. `cap_drop: ALL` with
 * `cap_add: X` leaves X; `cap_add: ALL` with `cap_drop: X` leaves all but X. NULL, or what is wrong. */
const char *caps_apply(const struct process_spec *spec, uid_t uid);

#endif
