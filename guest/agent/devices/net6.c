#include "devices/net6.h"

#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/failure.h"
#include "lib/files.h"

/* As the kernel has them (include/uapi/linux/ipv6.h and ipv6_route.h), whose headers collide with the C library's. */
struct address6_request {
  struct in6_addr address;
  uint32_t prefix;
  int index;
};

struct route6_request {
  struct in6_addr to, from, gateway;
  uint32_t type;
  uint16_t to_length, from_length;
  uint32_t metric;
  unsigned long info;
  uint32_t flags;
  int index;
};

static int set_ip6_setting(const char *name, const char *setting, const char *value) {
  char path[128];
  snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/%s", name, setting);
  return write_file(path, value, 1, 0);
}

/* Only the addresses that were given out: none from router advertisements, and no test whether somebody else has them, which would
 * take a second. */
int set_ipv6(const struct nic_config *nic) {
  struct ifreq r = {0};
  struct address6_request address = {.prefix = nic->prefix6};
  struct route6_request route = {.metric = 1, .flags = RTF_UP | RTF_GATEWAY};
  snprintf(r.ifr_name, sizeof r.ifr_name, "%s", nic->name);
  int sock6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  bool ok = sock6 >= 0 && set_ip6_setting(nic->name, "accept_ra", "0") == 0 && set_ip6_setting(nic->name, "accept_dad", "0") == 0 &&
            set_ip6_setting(nic->name, "disable_ipv6", "0") == 0 && ioctl(sock6, SIOCGIFINDEX, &r) == 0;
  address.index = route.index = r.ifr_ifindex;
  memcpy(&address.address, nic->address6, 16);
  memcpy(&route.gateway, nic->gateway6, 16);
  ok = ok && (ioctl(sock6, SIOCSIFADDR, &address) == 0 || errno == EEXIST) &&
       (!nic->has_gateway6 || ioctl(sock6, SIOCADDRT, &route) == 0 || errno == EEXIST);
  int error = errno;
  if (sock6 >= 0) {
    close(sock6);
  }
  return ok ? 0 : fail(REASON_MACHINE, "giving %s its IPv6 address: %s", nic->name, strerror(error));
}
