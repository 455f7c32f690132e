#ifndef BIND_H
#define BIND_H

#include <stdbool.h>

/* Binds an open file or folder at a path of the root, which is made if it is missing. Failures are said by fail(). */
int bind_at(int root, const char *target, bool read_only, int source);
/* Mounts a detached tree of a file at a path inside another mount namespace, which the caller is in from then on. */
int move_into(int tree, int mnt_ns, const char *path);

#endif
