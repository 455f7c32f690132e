/*
 * Carries connections between the guest and the host over one channel. RELAY is a job that listens on a unix socket or
 * on a port of loopback; DIAL is one that connects to ports of loopback for the host. Both directions speak records:
 * u32 connection, u32 length, bytes. A new number opens a connection: a record of the guest's with length 0 (RELAY), or
 * one of the host's with a u16 port (DIAL), higher than all before. After that, length 0 says that a side sends no more.
 * `ACK | connection` with a u32 says how many bytes of the other side's were passed on, and without one that the
 * connection is gone in both directions. A side keeps at most a window of a connection under way, so that one that is not
 * read holds up no other. A unix socket can be shown in the root (`target`).
 */
#ifndef RELAY_H
#define RELAY_H

#include <sys/types.h>

#include "requests/simple_request.h"

/* In a job, until the host closes. `viewer`: see show_socket.h. Failures are said by fail(). */
int relay(const struct simple_request *request, pid_t viewer);
int dial(void);

#endif
