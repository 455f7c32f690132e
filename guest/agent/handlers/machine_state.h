/* What the machine has come to: which request is possible when. */
#ifndef MACHINE_STATE_H
#define MACHINE_STATE_H

#include "lib/wire.h"

/* One of STATE_WAITING, STATE_PREPARED, STATE_RUNNING, STATE_EXITED. */
unsigned machine_state(void);
void machine_set_state(unsigned state);
/* Milliseconds from the kernel's start to "waiting for its configuration". */
void machine_booted(uint64_t boot_ms);
/* What the agent says of itself and of the workload in its WELCOME. */
void machine_write_info(struct writer *w);

/* The workload did not start: it may be tried again. */
void machine_workload_failed(void);
/* The workload has ended: the host hears of it. */
void machine_workload_exited(void);
/* Programs were killed for lack of memory: the host hears of it. */
void machine_out_of_memory(void);

#endif
