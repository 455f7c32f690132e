#ifndef SHOW_SOCKET_H
#define SHOW_SOCKET_H

#include <sys/types.h>

/* Shows a unix socket of the agent's at a path of the root, and to `viewer` (0: nobody), which sees only the mounts there were when it began.
 * It lies over one that was shown there before. Failures are said by fail(). */
int show_socket(const char *socket, const char *target, pid_t viewer);

#endif
