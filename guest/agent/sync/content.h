/* What is in files and symbolic links. */
#ifndef CONTENT_H
#define CONTENT_H

#include <stdbool.h>

#include "sync/stamp.h"

/* A file or symbolic link as it was at `stamp` in a folder, made anew as `temporary` in another one, with its mode and time, and with the
 * owner where that can be given. False with errno, EAGAIN where it is not what it was any more (which `unsettled` allows); nothing is left then. */
bool content_copy(int from, const char *name, const struct stamp *stamp, int to, const char *temporary, bool with_owner, bool unsettled);
/* 1 where both hold the same, 0 where not, -1 with errno. */
int content_equal(int a, const char *a_name, const struct stamp *a_stamp, int b, const char *b_name, const struct stamp *b_stamp);

#endif
