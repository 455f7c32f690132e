/* Whether programs watch folders that the host shares: then the host has to tell what is edited there. */
#ifndef SHARE_WATCHERS_H
#define SHARE_WATCHERS_H

#include <stdbool.h>

/* While on, each share that is watched is told of in an event, once. */
void watch_shares(bool on);

#endif
