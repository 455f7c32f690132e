/* Whether this agent is that of a further service in a machine (process/members.h): network, names and clock are the machine's. */
#ifndef MEMBER_H
#define MEMBER_H

#include <stdbool.h>

extern bool is_member;

#endif
