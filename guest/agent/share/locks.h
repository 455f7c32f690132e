/* Locks of the borrower's programs, taken on the files themselves, so that they and those of the other machine exclude each
 * other: flock on the open file, fcntl by an open file description for each owner. */
#ifndef LOCKS_H
#define LOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "share/call.h"

/* The answer comes later, or never. */
enum { NO_ANSWER = -1 };

/* 0 with the answer in the call, an errno, or NO_ANSWER for one that waits. */
int test_lock(struct call *call);
int set_lock(struct call *call);
/* A program has closed the file: what it had locked is free. */
int flush_file(struct call *call);
/* Releases an open file. Where it was the last one of its node, no fcntl lock on that is held or waited for any more. */
int close_file(struct call *call);
/* A program that waits was sent a signal. */
void interrupt_lock(struct call *call);

/* To be told how a wait ended: 0 or an errno. */
typedef void lock_answer_fn(uint64_t unique, int error);
/* Whether any waits; each is tried again. The kernel tells nobody when a lock is free. */
bool locks_retry(lock_answer_fn *answer);

#endif
