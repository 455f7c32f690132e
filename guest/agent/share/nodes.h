/*
 * The files of a lent volume by number, as the borrower's kernel names them. A number is the handle of the file in its ext4
 * (inode and generation), so nothing is kept here for it, and it can name nothing of another file system.
 */
#ifndef NODES_H
#define NODES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* The folder `_data` of a volume is the root, node 1; what lies beside it is reached by no number. With `read_only` nothing can be changed
 * through any of them (EROFS). False with errno. */
bool nodes_open(const char *folder, bool read_only);
/* A descriptor of a node, or -1 with errno. With O_PATH it may be of any kind, else it is a file or a folder. */
int node_open(uint64_t node, int flags);
/* The number of what is open, with what fstat says of it; 0 with errno where it is of another file system. */
uint64_t node_of(int fd, struct stat *st);

#endif
