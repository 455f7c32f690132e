/* The kernel's messages about devices (NETLINK_KOBJECT_UEVENT): what comes and goes while the machine runs. */
#ifndef UEVENTS_H
#define UEVENTS_H

#include <stdbool.h>

/* How often and at which interval to look for a device that is being plugged in where there is no event for it, and how
 * long to wait for one where there is: half a minute in all. */
enum { DEVICE_TRIES = 6000, DEVICE_PAUSE_US = 5000, DEVICE_WAIT_MS = 30000 };

/* -1, or a descriptor to wait on. */
int open_uevents(void);
/* Whether something came or went within so many milliseconds. */
bool await_uevent(int fd, int ms);

#endif
