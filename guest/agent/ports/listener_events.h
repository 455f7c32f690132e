/* When a TCP socket of this machine begins or ceases to listen: the kernel's tracepoint sock:inet_sock_set_state. (sock_diag
 * multicasts only the ends of sockets, and /proc/net/tcp walks the table of all connections, 4 ms under software emulation.) */
#ifndef LISTENER_EVENTS_H
#define LISTENER_EVENTS_H

#include <stdbool.h>

/* Mounts the kernel's tracing where only the agent sees it, and switches the tracepoint on: once, while the machine boots, for all
 * clones of a template. The console says where the kernel has none. */
void listener_events_open(void);
/* Calls `fn` after changes from now on; NULL ends that. False where there are no events: then somebody has to look. */
bool listener_events_watch(void (*fn)(void));

#endif
