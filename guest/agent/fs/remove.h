/* Removing trees without ever following a link out of them. */
#ifndef REMOVE_H
#define REMOVE_H

/* Removes `name` in the folder `dir`, whatever it is; gone already is fine. */
int remove_tree(int dir, const char *name);
/* Removes everything in a folder. */
int empty_folder(int dir);

#endif
