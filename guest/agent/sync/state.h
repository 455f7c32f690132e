/* What was equal on both sides, kept on the disk of the guest, so that the next start knows who changed what meanwhile. */
#ifndef STATE_H
#define STATE_H

#include <stdbool.h>

#include "sync/tree.h"

/* In the folder `place`. Everything that it says of the guest's side has to be on its disk before: it syncs the disk first. */
bool state_save(int place, const struct node *root);
/* False where there is none that can be read; nothing is known then. */
bool state_load(int place, struct node *root);

#endif
