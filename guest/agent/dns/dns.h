/*
 * The resolver of a machine: 127.0.0.11:53, UDP and TCP. Names of the stack come from a table, with all their
 * addresses in turning order; other names go to the upstreams.
 */
#ifndef DNS_H
#define DNS_H

#include "lib/arena.h"

void dns_configure(const struct strings *search, const struct strings *upstreams);
/* NULL, or what is wrong. Does nothing when it runs. */
const char *dns_start(void);

#endif
