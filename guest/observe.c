/* What can be seen of the machine from inside: usage, listening ports, out-of-memory kills. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <sys/statvfs.h>

#include "kestrel.h"

#define EVENTS_FILE "/sys/fs/cgroup/work/memory.events"

/* ---- usage ---- */

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

void stats_write(struct writer *w) {
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
  write_int(w, 20, busy_ms());
  write_int(w, 21, total - available), write_int(w, 22, total);
  write_int(w, 23, rx), write_int(w, 24, tx);
  write_int(w, 25, reads), write_int(w, 26, writes);
  write_int(w, 27, pids);
  struct statvfs disk;
  if (statvfs(PRIVATE "/layers", &disk) == 0) {
    write_int(w, 28, (uint64_t)disk.f_bavail * disk.f_frsize), write_int(w, 29, (uint64_t)disk.f_blocks * disk.f_frsize);
  }
}

/* ---- out of memory ---- */

static uint64_t kills_seen, kills_known;
static struct watch oom = {.fd = -1};

uint64_t oom_kills(void) {
  char text[1024];
  kills_known = read_small_file(EVENTS_FILE, text, sizeof text) > 0 ? number_after(text, "oom_kill ") : 0;
  return kills_known;
}

uint64_t oom_kills_known(void) { return kills_known; }

/* The kernel raises EPOLLPRI on the file when one of its counters changes. */
static void on_oom(struct watch *watch, uint32_t events) {
  (void)watch, (void)events;
  uint64_t kills = oom_kills();
  if (kills > kills_seen) {
    struct writer w;
    w.length = 0, w.full = false;
    write_int(&w, 1, 2);
    write_int(&w, 2, workload == NULL ? 0 : (uint64_t)workload->pid);
    channel_send(F_EVENT, 0, 0, w.bytes, w.length);
  }
  kills_seen = kills;
  char text[64];
  if (lseek(oom.fd, 0, SEEK_SET) < 0 || read(oom.fd, text, sizeof text) < 0) {
    errno = 0;
  }
}

void oom_watch(void) {
  oom = (struct watch){open(EVENTS_FILE, O_RDONLY | O_CLOEXEC), on_oom};
  if (oom.fd >= 0) {
    loop_watch(&oom, EPOLLPRI | EPOLLET);
    on_oom(&oom, 0);
  }
}

/* ---- listening ports ---- */

enum { MAX_PORTS = 256, FAST_MS = 200, SLOW_MS = 2000, FAST_ROUNDS = 150, TCP_LISTEN = 10, UDP_OPEN = 7 };

struct port {
  uint16_t number;
  uint8_t udp, v6;
  uint8_t address[16];
};

static struct port known[MAX_PORTS];
static size_t known_count;
static struct timer ports_timer;
static bool watching;
static int rounds;

static void report(const struct port *port, uint64_t type) {
  struct writer w;
  w.length = 0, w.full = false;
  write_int(&w, 1, type);
  write_int(&w, 3, port->number);
  write_int(&w, 4, port->udp);
  write_bytes(&w, 5, port->address, port->v6 ? 16 : 4);
  channel_send(F_EVENT, 0, 0, w.bytes, w.length);
}

static bool has_port(const struct port *list, size_t count, const struct port *port) {
  for (size_t i = 0; i < count; i++) {
    if (memcmp(&list[i], port, sizeof *port) == 0) {
      return true;
    }
  }
  return false;
}

/* The address is printed as 32-bit words in host order. */
static bool parse_port(const char *line, bool udp, bool v6, struct port *out) {
  char hex[40];
  unsigned number, peer, state;
  memset(out, 0, sizeof *out);
  if (sscanf(line, " %*d: %39[0-9A-F]:%x %*[0-9A-F]:%x %x", hex, &number, &peer, &state) != 4 || strlen(hex) != (v6 ? 32u : 8u)) {
    return false;
  }
  for (int word = 0; word < (v6 ? 4 : 1); word++) {
    char digits[9] = "";
    memcpy(digits, hex + word * 8, 8);
    put32(out->address + word * 4, (uint32_t)strtoul(digits, NULL, 16));
  }
  out->number = (uint16_t)number, out->udp = udp, out->v6 = v6;
  bool own_resolver = !v6 && number == 53 && memcmp(out->address, "\x7f\0\0\x0b", 4) == 0;
  return !own_resolver && (udp ? state == UDP_OPEN && peer == 0 : state == TCP_LISTEN);
}

static void scan_file(const char *path, bool udp, bool v6, struct port *list, size_t *count) {
  FILE *file = fopen(path, "re");
  char line[512];
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    struct port port;
    if (*count < MAX_PORTS && parse_port(line, udp, v6, &port) && !has_port(list, *count, &port)) {
      list[(*count)++] = port;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
}

/* The kernel tells nobody that a socket begins to listen (sock_diag multicasts only their ends), so this
 * looks, and only while a host has asked for it: often in the first half minute, then seldom. */
static void look_at_ports(struct timer *timer) {
  static struct port now[MAX_PORTS];
  size_t count = 0;
  scan_file("/proc/net/tcp", false, false, now, &count);
  scan_file("/proc/net/tcp6", false, true, now, &count);
  scan_file("/proc/net/udp", true, false, now, &count);
  scan_file("/proc/net/udp6", true, true, now, &count);
  for (size_t i = 0; i < count; i++) {
    if (!has_port(known, known_count, &now[i])) {
      report(&now[i], 3);
      rounds = 0;
    }
  }
  for (size_t i = 0; i < known_count; i++) {
    if (!has_port(now, count, &known[i])) {
      report(&known[i], 4);
    }
  }
  memcpy(known, now, count * sizeof *now);
  known_count = count;
  timer_start(timer, ++rounds < FAST_ROUNDS ? FAST_MS : SLOW_MS);
}

void watch_ports(bool on) {
  if (on && !watching) {
    known_count = 0, rounds = 0;
    ports_timer.fn = look_at_ports;
    timer_start(&ports_timer, 0);
  } else if (!on) {
    timer_stop(&ports_timer);
  }
  watching = on;
}
