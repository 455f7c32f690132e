#include "setup/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include <linux/random.h>

#include "fs/rooted.h"
#include "lib/failure.h"
#include "lib/files.h"
#include "lib/host_test.h"
#include "lib/member.h"
#include "lib/paths.h"
#include "devices/net.h"
#include "setup/root.h"
#include "setup/root_files.h"
#include "setup/volumes.h"

/* Clones of a template share their pool until it is mixed with bytes of their own: nothing else comes before this.
 * The reseed also ends what the kernel keeps ready for each processor. */
static int seed_random(const struct machine_config *config) {
  struct {
    struct rand_pool_info info;
    uint8_t bytes[512];
  } pool;
  size_t length = config->entropy_length < sizeof pool.bytes ? config->entropy_length : sizeof pool.bytes;
  int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
  pool.info.entropy_count = (int)length * 8;
  pool.info.buf_size = (int)length;
  if (length > 0) {
    memcpy(pool.info.buf, config->entropy, length);
  }
  int result = fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) != 0 || ioctl(fd, RNDRESEEDCRNG) != 0 ? -1 : 0;
  if (fd >= 0) {
    close(fd);
  }
  return result == 0 ? 0 : fail(REASON_MACHINE, "seeding the random numbers: %s", strerror(errno));
}

/* Programs get the memory that is free now, less a rest for the kernel and this agent. A machine that runs out as a whole
 * spends minutes on reading its programs back from disk, again and again, before one of them is killed. */
static void limit_memory(void) {
  enum { REST_MIN = 24 << 20, REST_PART = 16 };
  struct sysinfo info;
  char text[32];
  if (sysinfo(&info) == 0) {
    uint64_t available = (uint64_t)info.freeram * info.mem_unit;
    uint64_t rest = available / REST_PART > REST_MIN ? available / REST_PART : REST_MIN;
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)(available - (available > rest ? rest : 0)));
    write_file("/sys/fs/cgroup/work/memory.max", text, (size_t)n, 0);
  }
}

static int set_sysctls(const struct machine_config *config) {
  for (size_t i = 0; i < config->sysctl_count; i++) {
    const struct sysctl_config *pair = &config->sysctls[i];
    char path[512];
    snprintf(path, sizeof path, "/proc/sys/%s", pair->key);
    for (char *at = path + 10; *at != 0; at++) {
      *at = *at == '.' ? '/' : *at;
    }
    if (strstr(path, "//") != NULL || write_file(path, pair->value, strlen(pair->value), 0) != 0) {
      return fail(REASON_SETTING, "sysctl %s: %s", pair->key, errno == ENOENT ? "the guest's kernel does not have it" : strerror(errno));
    }
  }
  return 0;
}

static int set_identity(const struct machine_config *config) {
  if (sethostname(config->hostname, strlen(config->hostname)) != 0) {
    return fail(REASON_SETTING, "hostname %s: %s", config->hostname, strerror(errno));
  }
  if (config->domainname != NULL && setdomainname(config->domainname, strlen(config->domainname)) != 0) {
    return fail(REASON_SETTING, "domainname %s: %s", config->domainname, strerror(errno));
  }
  return 0;
}

/* Text of the files that docker writes. As with docker they are never in the image or in the writable layer. */
static size_t hosts_text(const struct machine_config *config, char *out, size_t size) {
  size_t n = (size_t)snprintf(out, size, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n"
                                         "ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
  for (size_t i = 0; i < config->host_count && n < size; i++) {
    n += (size_t)snprintf(out + n, size - n, "%s\t", config->hosts[i].address);
    for (size_t k = 0; k < config->hosts[i].names.count && n < size; k++) {
      n += (size_t)snprintf(out + n, size - n, "%s%s", k == 0 ? "" : " ", config->hosts[i].names.items[k]);
    }
    n += n < size ? (size_t)snprintf(out + n, size - n, "\n") : 0;
  }
  return n < size ? n : size - 1;
}

static size_t list_text(char *out, size_t size, size_t n, const char *key, const struct strings *list) {
  for (size_t i = 0; i < list->count && n < size; i++) {
    n += (size_t)snprintf(out + n, size - n, "%s %s%s", i == 0 ? key : "", list->items[i], i + 1 == list->count ? "\n" : "");
  }
  return n;
}

static size_t resolver_text(const struct machine_config *config, char *out, size_t size) {
  size_t n = (size_t)snprintf(out, size, "nameserver 127.0.0.11\n");
  n = list_text(out, size, n, "search", &config->search);
  n = list_text(out, size, n, "options", &config->options);
  return n < size ? n : size - 1;
}

static int write_identity_files(const struct machine_config *config) {
  enum { SIZE = 256 << 10 };
  static char hosts[SIZE], resolver[SIZE], hostname[256], machine_id[256];
  size_t hn = (size_t)snprintf(hostname, sizeof hostname, "%.200s\n", config->hostname);
  size_t mn = (size_t)snprintf(machine_id, sizeof machine_id, "%.200s\n", config->machine_id);
  const struct file_spec files[] = {
      {"/etc/hostname", (const uint8_t *)hostname, hn, 0644, 0, 0},
      {"/etc/hosts", (const uint8_t *)hosts, hosts_text(config, hosts, SIZE), 0644, 0, 0},
      {"/etc/resolv.conf", (const uint8_t *)resolver, resolver_text(config, resolver, SIZE), 0644, 0, 0},
      {"/etc/machine-id", (const uint8_t *)machine_id, mn, 0444, 0, 0},
  };
  return write_files(files, sizeof files / sizeof *files, 0, REASON_MACHINE);
}

static int make_read_only(void) {
  if (mount(NULL, SYSROOT, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0) {
    return fail(REASON_MACHINE, "making the root read-only: %s", strerror(errno));
  }
  return 0;
}

/* The files that every machine gets, before anything is in them. */
static const struct file_spec empty_files[] = {{"/etc/hostname", NULL, 0, 0644, 0, 0},
                                                {"/etc/hosts", NULL, 0, 0644, 0, 0},
                                                {"/etc/resolv.conf", NULL, 0, 0644, 0, 0},
                                                {"/etc/machine-id", NULL, 0, 0444, 0, 0}};
enum { EMPTY_FILES = sizeof empty_files / sizeof *empty_files };

/* What nearly every program needs is read once for all clones of a template, so that none of them reads it from its disk. */
static void read_common_files(void) {
  static const char *const paths[] = {"/etc/passwd", "/etc/group", "/bin/sh", "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6",
                                      "/lib/ld-musl-x86_64.so.1"};
  enum { PARTS = 128 };
  static char bytes[65536];
  int root = open(SYSROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    struct stat st;
    int fd = rooted_open(root, paths[i], O_RDONLY | O_NONBLOCK);
    bool regular = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    for (int part = 0; regular && part < PARTS && read(fd, bytes, sizeof bytes) > 0; part++) {
    }
    if (fd >= 0) {
      close(fd);
    }
  }
  close(root);
}

int set_clock(uint64_t ms) {
  struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
  return host_test ? 0 : clock_settime(CLOCK_REALTIME, &t);
}

int prepare_root(const struct machine_config *config) {
  if (host_test) {
    return 0;
  }
  if (config->root_disk == NULL || config->upper_disk == NULL) {
    return fail(REASON_MALFORMED, "there is no disk for the root or for the writable layer");
  }
  umask(0);
  limit_memory();
  if (mount_root(config->root_disk, config->upper_disk) != 0 || write_files(empty_files, EMPTY_FILES, 0, REASON_MACHINE) != 0) {
    return -1;
  }
  read_common_files();
  /* A clone's copy of the disk must have all of it. Where the host's disk is full, this is the last place to notice. */
  return sync_upper();
}

static int prepare_kernel(const struct machine_config *config) {
  if (seed_random(config) != 0) {
    return -1;
  }
  set_clock(config->clock);
  return 0;
}

int prepare_machine(const struct machine_config *config) {
  if (host_test) {
    return 0;
  }
  if (config->hostname == NULL || config->root_disk == NULL || config->machine_id == NULL) {
    return fail(REASON_MALFORMED, "the description of the machine lacks a hostname, a root or a machine id");
  }
  if (!is_member && prepare_kernel(config) != 0) {
    return -1;
  }
  umask(0);
  bool mounted = root_is_mounted();
  if (!mounted) {
    limit_memory();
  }
  if (mounted && config->mount_count > 0) {
    /* A volume is seeded with what the image has, not with the files that are mounted over it. */
    take_files_away(empty_files, EMPTY_FILES);
  }
  bool ok = (is_member || (set_identity(config) == 0 && configure_network(config->nics, config->nic_count) == 0)) && set_sysctls(config) == 0 &&
            (mounted || mount_root(config->root_disk, config->upper_disk) == 0) && mount_volumes(config->mounts, config->mount_count) == 0 && write_identity_files(config) == 0 &&
            write_files(config->files, config->file_count, 0, REASON_FILE) == 0 && (!config->read_only || make_read_only() == 0);
  return ok ? 0 : -1;
}
