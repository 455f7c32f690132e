/* Mounts a volume that another machine has: the requests of this kernel go to the host, which carries them there. */
#ifndef BORROW_H
#define BORROW_H

/* Mounts it for `tag` and carries requests to `out` and answers from `in` until either ends, and with it what is mounted: -1
 * (lib/failure.h). That it is mounted shows in the first request. */
int borrow_volume(int in, int out, const char *tag);

#endif
