/* The parts of what QEMU is loaded with: to map its guest's memory (memory.c), and to make copies of itself (zygote.c). */
#ifndef PRELOAD_H
#define PRELOAD_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { MAX_MOVES = 16 };

struct move {
  const char *from, *to;
  bool copies, done;
};

struct order {
  struct move moves[MAX_MOVES];
  int move_count, card, card_at;
  const char *name;
};

/* The process that this is loaded into must not take these for its own. */
#pragma GCC visibility push(hidden)

/* memory.c: false when there is no such file; and the end of a process that did without it. */
bool memory_begin(void);
void memory_need(void);

/* threads.c: all but the calling thread wait, or none and the reason. */
const char *threads_park(void);
void threads_unpark(void);
/* A process like this one, with this thread alone; 0 in it. */
pid_t threads_fork(void);
/* There, the others again, where they were. */
bool threads_revive(void);
bool threads_begin(void);
int park_signal(void);

/* copy.c: the copy's number, 0 in the copy, or -1 with a reason. `channel` stays this process's. */
pid_t make_copy(struct order *order, int channel, char *reason, size_t size);
/* Of a copy, in its main thread: from here on it does not end with what it was copied from. */
void copy_outlives(void);
/* Of the command line: the text that names this process. */
void name_place(char *text);
/* No programs, and without `forks` no processes either; for good. */
bool forbid_spawning(bool forks);

#pragma GCC visibility pop

#endif
