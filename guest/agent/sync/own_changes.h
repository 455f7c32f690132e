/* What programs of this machine change in a folder of one of its disks. */
#ifndef OWN_CHANGES_H
#define OWN_CHANGES_H

#include <stdbool.h>

/* A path from the folder; `anew`: something is there now that was not, with all that is below it. An empty path that is anew: news were lost,
 * anything may have changed. What this process changes itself is not told. */
typedef void own_change_fn(const char *path, bool anew);

/* From now on changes are noted for the descriptor that it gives, which becomes readable; -1 with errno. Needs CAP_SYS_ADMIN. */
int own_changes_open(int folder);
/* Tells all that has been noted. */
void own_changes_read(int events, int folder, own_change_fn *tell);

#endif
