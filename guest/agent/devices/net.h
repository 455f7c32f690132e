/* NICs by MAC address: name, address, MTU, default route. Old-style ioctls do all that is needed for IPv4. */
#ifndef NET_H
#define NET_H

#include "requests/machine_config.h"

/* What no configuration changes, while the machine boots: a template does it once for all its clones. */
void ready_network(void);
/* Failures are said by fail(). */
int configure_network(const struct nic_config *nics, size_t count);
/* More NICs while the machine runs, or a default route for one that is there. Taking one away is the kernel's work, which also takes
 * its routes away. */
int add_networks(const struct nic_config *nics, size_t count);
/* The prepared NIC becomes what it was before it was given an address, with which its routes go; the next configuration
 * says its MTU. False if another NIC is in use: it has nothing to go back to. */
bool forget_network(void);

#endif
