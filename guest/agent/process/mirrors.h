/* The processes that keep synced folders equal (serve_mirror.h): their start and end, what they are told, what the host hears of them. */
#ifndef MIRRORS_H
#define MIRRORS_H

#include <stdbool.h>
#include <sys/types.h>

#include "requests/machine_config.h"

/* Starts one for each synced folder among the mounts. NULL, or why not. */
const char *mirrors_start(const struct mount_config *mounts, size_t count);
/* NULL when all synced folders are filled, or why no program may see them. */
const char *mirrors_unready(void);
bool mirrors_have(const char *tag);
/* An EDITS request for that share. */
void mirrors_edits(const char *tag, struct fields list);
/* Answers on the channel when nothing waits in any of them. */
void mirrors_settle(uint32_t channel);
/* The host hears how all of them are, and that it is to tell of edits. */
void mirrors_tell(void);
/* A host has come or gone: what the last one said of edits is no reason to believe that all is known. */
void mirrors_session(void);
/* No program is left: they bring what waits to the host, and end. */
void mirrors_end(uint64_t flush_ms);
bool mirrors_running(void);
void mirrors_kill(void);
/* A process was reaped, which may have been one. */
void mirror_gone(pid_t pid);

#endif
