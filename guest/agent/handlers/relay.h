/*
 * Carries connections from the guest to the host over one channel: a job that listens on a unix socket or on a
 * port of loopback. Both directions speak records: u32 connection, u32 length, bytes. A record of the guest's with a
 * new number opens a connection (length 0); after that, length 0 says that a side sends no more. `ACK | connection`
 * with a u32 says how many bytes of the host's were passed on: the host keeps at most WINDOW under way, so that
 * one connection that is not read holds up no other.
 */
#ifndef RELAY_H
#define RELAY_H

#include "requests/simple_request.h"

/* In a job, until the host closes. Failures are said by fail(). */
int relay(const struct simple_request *request);

#endif
