#ifndef LISTEN_PORTS_H
#define LISTEN_PORTS_H

#include <stdbool.h>

/* Sends an event for each port on which a program begins or ceases to listen. The kernel tells nobody that a socket begins
 * to listen (sock_diag multicasts only their ends), so this looks, and only while a host has asked for it: every 100 ms
 * at first, then after a fiftieth of the time since the last change, at most 2 s. A look reads the lines of what listens. */
void watch_ports(bool on);

#endif
