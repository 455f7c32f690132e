#ifndef LISTEN_PORTS_H
#define LISTEN_PORTS_H

#include <stdbool.h>

/* Sends an event for each port on which a program begins or ceases to listen, while a host asks for it. TCP ports are read when the
 * kernel says that one changed, within milliseconds. Of UDP ports it says nothing: these are looked at every 100 ms at first, then
 * after a third of the time since the last change of a TCP port, at most 5 s; TCP ports too where the kernel has no tracing. */
void watch_ports(bool on);

#endif
