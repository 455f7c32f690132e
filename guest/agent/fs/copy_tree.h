#ifndef COPY_TREE_H
#define COPY_TREE_H

#include <stdbool.h>

/* Copies what is in the folder `from` into the folder `to`, with owners, modes, links and attributes. */
bool copy_tree(int from, int to);

#endif
