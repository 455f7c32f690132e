#ifndef USAGE_H
#define USAGE_H

#include "lib/wire.h"

/* Processor time, memory, network, disks, number of processes: what GuestStats holds. */
void write_usage(struct writer *w);

#endif
