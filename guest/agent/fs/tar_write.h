/* Trees as tar archives, names sorted. Failures are said by fail(). */
#ifndef TAR_WRITE_H
#define TAR_WRITE_H

#include <stdbool.h>

/* Everything below the folder `dir`, names relative to it. */
int tree_write(int out, int dir);
/* A path in the service's root as docker's archive: names begin with its base name. */
int tar_create(int out, const char *path, bool follow);
/* The writable layer as an OCI layer. */
int layer_create(int out);

#endif
