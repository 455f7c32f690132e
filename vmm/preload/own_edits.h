/* Which changes of a share are this daemon's own, that is of its guest, whose programs have heard of them. */
#ifndef OWN_EDITS_H
#define OWN_EDITS_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* From now on each change that the daemon makes is noted: somebody asks. */
void own_edits_begin(void);
/* Whether the last change of a file or folder was the daemon's. */
bool is_own_edit(int fd);
/* What is open was changed. */
void note_own(int fd);
/* What this path from a folder leads to was changed; with `named` what is there itself, and the folder, where it is new or gone. */
void note_own_at(int folder, const char *path, bool named);

#pragma GCC visibility pop

#endif
