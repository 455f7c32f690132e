/* The IPv6 address and default route of a NIC. */
#ifndef NET6_H
#define NET6_H

#include "requests/machine_config.h"

/* Failures are said by fail(). */
int set_ipv6(const struct nic_config *nic);

#endif
