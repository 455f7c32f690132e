#ifndef PREPARE_REQUEST_H
#define PREPARE_REQUEST_H

#include "handlers/request.h"

/* PREPARE, and MOUNT_ROOT, which does the part of it that depends on the disks only. */
void handle_prepare(struct request *request);
/* FORGET. */
void handle_forget(const struct request *request);

#endif
