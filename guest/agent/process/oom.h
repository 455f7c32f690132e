/* Out-of-memory kills among the programs of the machine. */
#ifndef OOM_H
#define OOM_H

#include <stdint.h>

/* Calls `killed` whenever there are more. */
void oom_watch(void (*killed)(void));
/* How many there were. */
uint64_t oom_kills(void);
/* As of when it was looked at last: at the latest when one was reported, or a program failed. */
uint64_t oom_kills_known(void);

#endif
