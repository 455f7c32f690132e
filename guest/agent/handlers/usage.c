#include "handlers/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/files.h"
#include "lib/paths.h"

static uint64_t number_after(const char *text, const char *key) {
  const char *at = strstr(text, key);
  return at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10);
}

static void add_network(uint64_t *rx, uint64_t *tx) {
  char text[8192];
  if (read_small_file("/proc/net/dev", text, sizeof text) <= 0) {
    return;
  }
  for (char *line = text; line != NULL && *line != 0;) {
    char name[32];
    unsigned long long r, t;
    if (sscanf(line, " %31[^:]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &r, &t) == 3 && strcmp(name, "lo") != 0) {
      *rx += r, *tx += t;
    }
    line = strchr(line, '\n');
    line = line == NULL ? NULL : line + 1;
  }
}

static void add_disks(uint64_t *reads, uint64_t *writes) {
  char text[16384];
  if (read_small_file("/proc/diskstats", text, sizeof text) <= 0) {
    return;
  }
  for (char *line = text; line != NULL && *line != 0;) {
    char name[32];
    unsigned long long r, w;
    if (sscanf(line, " %*u %*u %31s %*u %*u %llu %*u %*u %*u %llu", name, &r, &w) == 3 && strncmp(name, "vd", 2) == 0) {
      *reads += r * 512, *writes += w * 512;
    }
    line = strchr(line, '\n');
    line = line == NULL ? NULL : line + 1;
  }
}

static uint64_t busy_ms(void) {
  char text[4096];
  unsigned long long user, nice, system, idle, iowait, irq, softirq;
  if (read_small_file("/proc/stat", text, sizeof text) <= 0 ||
      sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &iowait, &irq, &softirq) != 7) {
    return 0;
  }
  return (user + nice + system + irq + softirq) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

void write_usage(struct writer *w) {
  char text[4096];
  uint64_t rx = 0, tx = 0, reads = 0, writes = 0, total = 0, available = 0, pids = 0;
  if (read_small_file("/proc/meminfo", text, sizeof text) > 0) {
    total = number_after(text, "MemTotal:") * 1024, available = number_after(text, "MemAvailable:") * 1024;
  }
  if (read_small_file("/sys/fs/cgroup/work/pids.current", text, sizeof text) > 0) {
    pids = strtoull(text, NULL, 10);
  }
  add_network(&rx, &tx);
  add_disks(&reads, &writes);
  write_int(w, TAG_STATS_CPU_MS, busy_ms());
  write_int(w, TAG_STATS_MEMORY_USED, total - available), write_int(w, TAG_STATS_MEMORY_TOTAL, total);
  write_int(w, TAG_STATS_NET_RX, rx), write_int(w, TAG_STATS_NET_TX, tx);
  write_int(w, TAG_STATS_BLOCK_READ, reads), write_int(w, TAG_STATS_BLOCK_WRITE, writes);
  write_int(w, TAG_STATS_PIDS, pids);
  struct statvfs disk;
  if (statvfs(LAYERS, &disk) == 0) {
    write_int(w, TAG_STATS_DISK_FREE, (uint64_t)disk.f_bavail * disk.f_frsize), write_int(w, TAG_STATS_DISK_TOTAL, (uint64_t)disk.f_blocks * disk.f_frsize);
  }
}
