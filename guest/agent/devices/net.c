#include "devices/net.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/failure.h"
#include "lib/files.h"
#include "devices/net6.h"
#include "devices/uevents.h"

static int sock = -1;
static pid_t sock_of;

/* One socket for as long as the process lives, because opening one costs more than most of its calls. A job has none of
 * PID 1's descriptors and opens its own. */
static bool open_sock(void) {
  if (sock < 0 || sock_of != getpid()) {
    sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), sock_of = getpid();
  }
  return sock >= 0;
}

static struct ifreq request(const char *name) {
  struct ifreq r;
  memset(&r, 0, sizeof r);
  snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
  return r;
}

static int set_flags(const char *name, short set, short clear) {
  struct ifreq r = request(name);
  if (ioctl(sock, SIOCGIFFLAGS, &r) != 0) {
    return -1;
  }
  short flags = (short)((r.ifr_flags | set) & ~clear);
  if (flags == r.ifr_flags) {
    return 0;
  }
  r.ifr_flags = flags;
  return ioctl(sock, SIOCSIFFLAGS, &r);
}

static void put_address(struct sockaddr *out, const uint8_t address[4]) {
  struct sockaddr_in in = {.sin_family = AF_INET};
  memcpy(&in.sin_addr, address, 4);
  memcpy(out, &in, sizeof in);
}

static int rename_nic(const char *from, const char *to) {
  struct ifreq r = request(from);
  snprintf(r.ifr_newname, sizeof r.ifr_newname, "%s", to);
  set_flags(from, 0, IFF_UP);
  return ioctl(sock, SIOCSIFNAME, &r);
}

static bool is_ethernet(const char *name, uint8_t mac[6]) {
  struct ifreq r = request(name);
  bool ok = ioctl(sock, SIOCGIFHWADDR, &r) == 0 && r.ifr_hwaddr.sa_family == ARPHRD_ETHER;
  memcpy(mac, r.ifr_hwaddr.sa_data, 6);
  return ok;
}

/* Whether a NIC was set up: one that was just plugged in is down, and the kernel may have given it the name that it is to have. */
static bool is_up(const char *name) {
  struct ifreq r = request(name);
  return ioctl(sock, SIOCGIFFLAGS, &r) == 0 && (r.ifr_flags & IFF_UP) != 0;
}

/* Our temporary names start with "hypr": they are NICs that were claimed already. */
static bool find_nic(const uint8_t *mac, char *out) {
  bool found = false;
  DIR *dir = opendir("/sys/class/net");
  struct dirent *entry;
  while (!found && dir != NULL && (entry = readdir(dir)) != NULL) {
    uint8_t own[6];
    if (entry->d_name[0] == '.' || strlen(entry->d_name) >= IFNAMSIZ || strncmp(entry->d_name, "hypr", 4) == 0) {
      continue;
    }
    found = is_ethernet(entry->d_name, own) && memcmp(own, mac, 6) == 0;
    if (found) {
      strcpy(out, entry->d_name);
    }
  }
  if (dir != NULL) {
    closedir(dir);
  }
  return found;
}

/* The NIC of a template, which its clones have too: it becomes the first one of the configuration. */
static const uint8_t prepared_mac[6] = {0x02, 'h', 'y', 'p', 'r', 0};

static int set_mac(const char *name, const uint8_t *mac) {
  struct ifreq r = request(name);
  r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  memcpy(r.ifr_hwaddr.sa_data, mac, 6);
  return ioctl(sock, SIOCSIFHWADDR, &r);
}

/* A machine without a network must not see a NIC: programs could take it for a way out. */
static int drop_prepared_nic(void) {
  char name[IFNAMSIZ], link[128], device[256];
  if (!find_nic(prepared_mac, name)) {
    return 0;
  }
  snprintf(link, sizeof link, "/sys/class/net/%s/device", name);
  ssize_t n = readlink(link, device, sizeof device - 1);
  const char *id = n > 0 ? (device[n] = 0, strrchr(device, '/')) : NULL;
  return id != NULL ? write_file("/sys/bus/virtio/drivers/virtio_net/unbind", id + 1, strlen(id + 1), 0) : -1;
}

static void temporary_name(size_t index, char *out) { snprintf(out, IFNAMSIZ, "hypr%u", (unsigned)index % 1000); }

/* As docker does where a network has no IPv6: no router solicitations, no tentative link-local address. And a gratuitous
 * ARP when the NIC comes up: the network's switch may remember the address but not on which wire it is now, and then it
 * drops packets for it until this machine sends something. */
static int set_ip_settings(const char *name) {
  char path[128];
  snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
  if (write_file(path, "1", 1, 0) != 0 && errno != ENOENT) {
    return fail(REASON_MACHINE, "switching IPv6 off on %s: %s", name, strerror(errno));
  }
  snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/arp_notify", name);
  return write_file(path, "1", 1, 0) == 0 ? 0 : fail(REASON_MACHINE, "announcing %s: %s", name, strerror(errno));
}

void ready_network(void) {
  char name[IFNAMSIZ];
  if (open_sock()) {
    set_flags("lo", IFF_UP, 0);
    if (find_nic(prepared_mac, name) && set_ip_settings(name) == 0) {
      set_flags(name, IFF_UP, 0);
    }
  }
}

/* The prepared NIC has its name and its settings already, and is up: in a template it is eth0, as in most configurations. */
static bool settled;
static char settled_name[IFNAMSIZ];

static void settle(const char *name) {
  settled = true;
  snprintf(settled_name, sizeof settled_name, "%s", name);
}

/* All other NICs get a temporary name first, so that eth0 and eth1 can change places. The NICs of a clone were plugged in
 * an instant ago and appear one after the other: this waits for the right one. */
static int claim_nic(const struct nic_config *nic, size_t index) {
  char name[IFNAMSIZ], temporary[IFNAMSIZ];
  uint8_t mac[6];
  if (index == 0 && is_ethernet(nic->name, mac) && memcmp(mac, prepared_mac, 6) == 0) {
    settle(nic->name);
    return 0;
  }
  bool prepared = index == 0 && find_nic(prepared_mac, name), found = prepared;
  if (found && set_mac(name, nic->mac) != 0) {
    return fail(REASON_MACHINE, "giving the NIC %s its address: %s", nic->name, strerror(errno));
  }
  for (int tries = 0; !found && !(found = find_nic(nic->mac, name)) && tries < DEVICE_TRIES; tries++) {
    usleep(DEVICE_PAUSE_US);
  }
  if (!found) {
    return fail(REASON_MACHINE, "there is no NIC for %s", nic->name);
  }
  temporary_name(index, temporary);
  if (rename_nic(name, temporary) != 0) {
    return fail(REASON_MACHINE, "naming the NIC %s: %s", nic->name, strerror(errno));
  }
  return 0;
}

static int set_addresses(const struct nic_config *nic) {
  struct ifreq r = request(nic->name);
  uint32_t mask = htonl(nic->prefix == 0 ? 0 : ~(uint32_t)0 << (32 - nic->prefix));
  put_address(&r.ifr_addr, nic->address);
  if (ioctl(sock, SIOCSIFADDR, &r) != 0) {
    return -1;
  }
  /* The kernel adds the mask of the address class (RFC 791) and a route; setting another mask removes that route again. */
  uint32_t class = nic->address[0] < 128 ? 8 : nic->address[0] < 192 ? 16 : nic->address[0] < 224 ? 24 : 32;
  if (class == nic->prefix) {
    return 0;
  }
  put_address(&r.ifr_netmask, (const uint8_t *)&mask);
  return ioctl(sock, SIOCSIFNETMASK, &r);
}

static int set_route(const struct nic_config *nic) {
  static const uint8_t any[4];
  struct rtentry route;
  char name[IFNAMSIZ];
  if (!nic->has_gateway) {
    return 0;
  }
  memset(&route, 0, sizeof route);
  snprintf(name, sizeof name, "%s", nic->name);
  put_address(&route.rt_dst, any);
  put_address(&route.rt_genmask, any);
  put_address(&route.rt_gateway, nic->gateway);
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  route.rt_dev = name;
  return ioctl(sock, SIOCADDRT, &route);
}

static int set_up(const struct nic_config *nic, size_t index) {
  char temporary[IFNAMSIZ];
  bool ready = index == 0 && settled;
  temporary_name(index, temporary);
  if (!ready && rename_nic(temporary, nic->name) != 0) {
    return fail(REASON_MACHINE, "naming the NIC %s: %s", nic->name, strerror(errno));
  }
  struct ifreq r = request(nic->name);
  r.ifr_mtu = (int)nic->mtu;
  if (nic->mtu != 0 && ioctl(sock, SIOCSIFMTU, &r) != 0) {
    return fail(REASON_MACHINE, "setting the MTU of %s to %u: %s", nic->name, nic->mtu, strerror(errno));
  }
  if (!ready && set_ip_settings(nic->name) != 0) {
    return -1;
  }
  /* A NIC that is up announces itself when its hardware address changes, so its IP address has to be set before. */
  if (set_addresses(nic) != 0 || (ready ? set_mac(nic->name, nic->mac) : set_flags(nic->name, IFF_UP, 0)) != 0 || set_route(nic) != 0) {
    return fail(REASON_MACHINE, "configuring %s: %s", nic->name, strerror(errno));
  }
  return nic->has_address6 ? set_ipv6(nic) : 0;
}

int configure_network(const struct nic_config *nics, size_t count) {
  int result = !open_sock() || set_flags("lo", IFF_UP, 0) != 0 ? fail(REASON_MACHINE, "bringing up lo: %s", strerror(errno)) : 0;
  if (result == 0 && count == 0 && drop_prepared_nic() != 0) {
    result = fail(REASON_MACHINE, "taking the unused NIC away: %s", strerror(errno));
  }
  for (size_t i = 0; result == 0 && i < count; i++) {
    result = claim_nic(&nics[i], i);
  }
  for (size_t i = 0; result == 0 && i < count; i++) {
    result = set_up(&nics[i], i);
  }
  return result;
}

static int set_routes(const struct nic_config *nic) {
  if (set_route(nic) != 0 && errno != EEXIST) {
    return fail(REASON_MACHINE, "the default route of %s: %s", nic->name, strerror(errno));
  }
  return nic->has_address6 && nic->has_gateway6 ? set_ipv6(nic) : 0;
}

int add_networks(const struct nic_config *nics, size_t count) {
  int result = open_sock() ? 0 : fail(REASON_MACHINE, "a socket: %s", strerror(errno));
  for (size_t i = 0; result == 0 && i < count; i++) {
    uint8_t mac[6];
    /* The first of a configuration may be the prepared NIC, which none of these is. */
    size_t index = i + 1;
    if (is_ethernet(nics[i].name, mac) && memcmp(mac, nics[i].mac, 6) == 0 && is_up(nics[i].name)) {
      result = set_routes(&nics[i]);
    } else {
      result = claim_nic(&nics[i], index) != 0 ? -1 : set_up(&nics[i], index);
    }
  }
  return result;
}

bool forget_network(void) {
  static const uint8_t none[4];
  struct ifreq address = request(settled_name);
  put_address(&address.ifr_addr, none);
  bool ok = settled && open_sock() && ioctl(sock, SIOCSIFADDR, &address) == 0 && set_mac(settled_name, prepared_mac) == 0;
  settled = false;
  return ok;
}
