/* The end: stop signal, grace, SIGKILL, output to the host, sync, unmount, power off. A table of states. */
#ifndef POWER_H
#define POWER_H

#include <stdint.h>

/* Begins the end; synced folders are brought to the host for `flush_ms` at most (0: as long as is usual). Answers on the channel when all disks are at rest. */
void power_off(uint32_t channel, int stop_signal, uint64_t grace_ms, uint64_t flush_ms);
/* Once in each round: goes on with it, and ends the machine when everything is done. */
void power_step(void);

#endif
