#ifndef BOOT_MEMBER_H
#define BOOT_MEMBER_H

#include <stdbool.h>

/* The agent of a further service in a machine, from its start in namespaces of its own (process/members.h) to "waiting for its
 * configuration". Ends the program when it cannot. */
void boot_member(const char *name, bool shares_ipc);

#endif
