/*
 * Further services in this machine: each has an agent of its own, which is this program again with mounts, cgroup and
 * IPC of its own, and speaks the same protocol over a unix socket. The network is the machine's.
 */
#ifndef MEMBERS_H
#define MEMBERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Where they listen, by name; nothing of it is seen in any root. */
#define MEMBERS "/kestrel/members"
/* The descriptor on which such an agent finds its listening socket. */
enum { MEMBER_FD = 3, MEMBER_NAME_MAX = 16 };
/* Three letters or digits at least: a name is part of a path, and longer than a port (handlers/relay.h). */
bool member_name_ok(const char *name, size_t length);
/* Starts its agent unless it runs; `shares_ipc`: with the queues and shared memory of the machine's service. NULL, or why not. */
const char *member_start(const char *name, bool shares_ipc);
/* A connection to its agent, or -1. */
int member_connect(const uint8_t *name, size_t length);
/* Ends it with all its programs, at once. */
void member_end(const char *name);
void members_end_all(void);
/* A process was reaped, which may have been one. */
void member_gone(pid_t pid);

#endif
