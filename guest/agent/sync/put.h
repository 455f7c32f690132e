/* Puts files at their places without ever losing what somebody else put there meanwhile. */
#ifndef PUT_H
#define PUT_H

#include <stdbool.h>

#include "sync/stamp.h"

/* Ours on a host, in the folder of the file that they become: no side is told of them. */
#define TEMPORARY ".hypr-sync-"

enum put {
  PUT_DONE,
  /* Something else is there than was expected: to be looked at again. */
  PUT_STALE,
  /* errno says why. */
  PUT_FAILED,
};

bool is_temporary(const char *name);
/* A name for a new file that nobody else takes. */
void temporary_name(char out[32]);
/* A rename to a name that nothing has; false with errno. */
bool move_new(int from, const char *name, int to, const char *target);
/* `temporary` in the folder `from` becomes `name` in `folder`, where there was `expected` (mode 0: nothing). It is gone afterwards. */
enum put put_file(int from, const char *temporary, int folder, const char *name, const struct stamp *expected);
/* Removes what was `expected`, no folder, by way of a temporary name in the folder `aside`. */
enum put put_away(int aside, int folder, const char *name, const struct stamp *expected);

#endif
