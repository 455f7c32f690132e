/* Lends a volume that this machine has: answers the requests that the kernel of another one makes of its FUSE mount. */
#ifndef SERVE_H
#define SERVE_H

#include <stdbool.h>

/* With `read_only` each change is refused with EROFS, whatever is asked. Requests come from `in`, answers go to `out`, both as the kernel has them and without anything between. Ends with 0 when the
 * requests end, or with -1 (lib/failure.h). One at a time: a second one waits for the first one's fsync. */
int serve_folder(int in, int out, const char *folder, bool read_only);

#endif
