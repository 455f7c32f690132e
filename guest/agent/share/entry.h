/* Nodes and their attributes as the borrower's kernel has them. */
#ifndef ENTRY_H
#define ENTRY_H

#include <stdint.h>
#include <sys/stat.h>

#include <linux/fuse.h>

#include "share/call.h"

struct fuse_attr attributes_of(const struct stat *st);
/* Adds a node and its attributes, which the borrower asks for again each time: another machine changes them. */
void answer_entry(struct call *call, uint64_t node, const struct stat *st);

#endif
