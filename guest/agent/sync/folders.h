/* The folders of paths on both sides, opened without following a link. */
#ifndef FOLDERS_H
#define FOLDERS_H

#include "sync/tree.h"

/* The two folders, and one on the guest's disk for files that are not complete. */
struct places {
  int host, guest, staging;
};

extern struct places places;

/* A descriptor of a folder, which is not the caller's to close and is good until the next call for that side; -1 with errno. */
int folder_of(const struct node *folder, enum side side);
/* What is remembered of the folder, or of all (NULL), may be another one by now. */
void folders_forget(const struct node *folder);
/* Lists a folder: `now` and `listed` of each child. False with errno. */
bool folder_list(struct node *folder, enum side side, uint32_t look);
/* The error means that there is no such path. */
bool is_absence(int error);

#endif
