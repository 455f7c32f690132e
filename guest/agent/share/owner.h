/* Who makes a file: new files belong to the caller of the other machine, whose kernel has checked what that caller may do. */
#ifndef OWNER_H
#define OWNER_H

#include <sys/types.h>

#include "share/call.h"

/* Before the first: changing the owner of new files is to change nothing of what this process may do. */
void owner_prepare(void);
/* From now on new files are the caller's, and its umask holds where the folder has no default ACL. */
void owner_take(const struct call *call, uint32_t mask);
void owner_return(void);

#endif
