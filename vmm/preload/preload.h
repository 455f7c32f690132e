/* The library that QEMU is loaded with: it maps the guest's memory (memory.c) and copies the process (zygote.c, copy.c, threads.c). */
#ifndef PRELOAD_H
#define PRELOAD_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { MAX_MOVES = 16, MAX_RIGHTS = 64 };

struct move {
  const char *from, *to;
  bool copies, done;
};

/* What a copy may still open: to read, to write too. */
struct right {
  const char *path;
  bool writes;
};

struct request {
  struct move moves[MAX_MOVES];
  struct right rights[MAX_RIGHTS];
  int move_count, right_count, nic, nic_at;
  const char *name;
};

/* Hidden, so that QEMU cannot bind its own symbols to these. */
#pragma GCC visibility push(hidden)

/* memory.c: maps the memory, false when there is no such file; and ends a process that runs without it. */
bool memory_begin(void);
void memory_need(void);

/* threads.c: parks all threads but the calling one; on failure none are parked, and the reason is returned. */
const char *threads_park(void);
void threads_unpark(void);
/* Forks with the calling thread only; returns 0 in the child. */
pid_t threads_fork(void);
/* In the child: makes the other threads again and lets them go on where they were. */
bool threads_revive(void);
bool threads_begin(void);
int park_signal(void);

/* copy.c: returns the pid of the copy, 0 in the copy, or -1 with a reason. The copy closes `channel`. */
pid_t make_copy(struct request *request, int channel, char *reason, size_t size);
/* In a copy's main thread: from here on the copy survives the process that it was copied from. */
void copy_outlives(void);
/* Notes where on the command line the name of this process is. */
void name_place(char *text);
/* limits.c. A copy opens nothing more than what its request names. */
bool narrow_files(const struct request *request);
/* Forbids exec for good; without `forks` also fork, new sockets and signals to others. */
bool forbid_spawning(bool forks);

/* refused.c: has what the fence refuses written down. */
bool refused_begin(void);

#pragma GCC visibility pop

#endif
