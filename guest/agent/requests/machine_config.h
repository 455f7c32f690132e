/* What turns a waiting machine into a replica of a service. */
#ifndef MACHINE_CONFIG_H
#define MACHINE_CONFIG_H

#include "dns/dns_table.h"
#include "lib/arena.h"
#include "lib/wire.h"

struct mount_config {
  /* MOUNT_DISK, MOUNT_SHARE or MOUNT_TMPFS. */
  uint32_t kind;
  const char *source, *target, *subpath, *file;
  bool read_only, seed, image, has_mode, synced;
  uint64_t size;
  uint32_t mode;
};

struct nic_config {
  uint8_t mac[6], address[4], gateway[4];
  const char *name;
  uint32_t prefix, mtu;
  bool has_gateway;
  /* Without an IPv6 address IPv6 is off. */
  uint8_t address6[16], gateway6[16];
  uint32_t prefix6;
  bool has_address6, has_gateway6;
};

struct hosts_line {
  const char *address;
  struct strings names;
};

struct file_spec {
  const char *path;
  const uint8_t *content;
  size_t length;
  uint32_t mode, uid, gid;
  bool read_only, append;
};

struct sysctl_config {
  const char *key, *value;
};

struct machine_config {
  const char *hostname, *domainname, *machine_id, *root_disk, *upper_disk;
  const uint8_t *entropy;
  size_t entropy_length;
  uint64_t clock;
  bool read_only;
  struct mount_config *mounts;
  struct nic_config *nics;
  struct dns_name *names;
  struct hosts_line *hosts;
  struct file_spec *files;
  struct sysctl_config *sysctls;
  size_t mount_count, nic_count, name_count, host_count, file_count, sysctl_count;
  struct strings search, upstreams, options;
};

/* NULL when the request is well-formed, otherwise what is wrong with it. Texts and lists are the arena's, bytes the request's. */
const char *decode_machine(struct arena *arena, struct fields list, struct machine_config *out);

#endif
