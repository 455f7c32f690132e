/* Tells on the console what a program's start waits for when it does not get on: the host, which gives up on it later, keeps the console. */
#ifndef STUCK_START_H
#define STUCK_START_H

/* Called whenever a program is started. */
void stuck_start_watch(void);

#endif
