/*
 * Keeps two folders equal, both ways. The host's is a share, the guest's is on the guest's disk. Whoever changes something says where
 * (mirror_look); what is done with it is decided by reconcile.h, and nothing that was written is lost: what both sides changed is kept twice.
 */
#ifndef MIRROR_H
#define MIRROR_H

#include "sync/queue.h"

enum news {
  /* Both sides had changed: the path is that of the guest's file now. */
  NEWS_CONFLICT,
  /* This path stays where it is: its kind, or an error. */
  NEWS_LEFT,
  /* A disk is full (which one: `reason`); nothing is copied until there is space. Then: it goes on. */
  NEWS_FULL,
  NEWS_SPACE,
};

typedef void news_fn(enum news news, const char *path, const char *reason);

struct mirror {
  /* See reconcile.h; ends when all of both sides was looked at (mirror_look of "") and nothing waits any more. */
  bool unclean;
  news_fn *tell;
};

extern struct mirror mirror;
extern struct node *mirror_root;

uint64_t mirror_now(void);
/* The path was changed on these sides (WANT_…); WANT_LIST: something in that folder, WANT_DEEP: anything at or below it. */
void mirror_look(const char *path, unsigned wanted);
/* Looks at what is due, for `most_ms` at most. */
void mirror_step(unsigned most_ms);
/* Nothing waits to be looked at, but for what was given up for some seconds (news told of it). */
bool mirror_is_idle(void);
/* A disk was full the last time that something was copied. */
bool mirror_is_full(void);

#endif
