/* What the borrower of a volume has open, by number: its open files, each with a description of its own, so that locks and the
 * end of a file that is removed while it is open are as they are with one machine. */
#ifndef FILES_OPEN_H
#define FILES_OPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "share/call.h"

/* The descriptor, or -1 with EBADF. */
int file_of(uint64_t number);
/* An open file of this node, or -1: one that was removed has no other way to it. */
int file_of_node(uint64_t node);

/* Each gives 0 and the answer in the call, or an errno. */
int open_file(struct call *call);
int open_folder(struct call *call);
int create_file(struct call *call);
int release_file(struct call *call);
int read_file(struct call *call);
int write_file_part(struct call *call);
int read_folder(struct call *call);
int sync_file(struct call *call);
int allocate_file(struct call *call);
int seek_file(struct call *call);

#endif
