#include "ports/listen_ports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop.h"
#include "link/host_link.h"
#include "ports/listener_events.h"

/* An event comes a moment before the kernel's table has its socket (or has it no more): usually SETTLE_MS are enough, and a processor
 * that was taken away in between has come back by LATE_MS. */
enum { MAX_PORTS = 256, FIRST_MS = 100, SLOW_MS = 5000, SETTLE_MS = 5, LATE_MS = 1000, TCP_LISTEN = 10, UDP_OPEN = 7 };

struct port {
  uint16_t number;
  uint8_t udp, v6;
  uint8_t address[16];
};

static struct port known[MAX_PORTS];
static size_t known_count;
static struct timer ports_timer;
static bool watching;
/* Whether the kernel says when TCP ports change; these are read then only. */
static bool have_events;
static bool tcp_changed;
static uint64_t event_at;
/* Whether the timer runs for an event that has just come. */
static bool due_soon;
/* Of the last change of a TCP port; programs that only ask names open UDP ports all the time. */
static uint64_t changed_at;

static void report(const struct port *port, uint64_t kind) {
  struct writer w;
  writer_init(&w);
  write_int(&w, TAG_EVENT_KIND, kind);
  write_int(&w, TAG_EVENT_PORT, port->number);
  write_int(&w, TAG_EVENT_UDP, port->udp);
  write_bytes(&w, TAG_EVENT_ADDRESS, port->address, port->v6 ? 16 : 4);
  link_send(FRAME_EVENT, 0, 0, w.bytes, w.length);
}

static bool has_port(const struct port *list, size_t count, const struct port *port) {
  for (size_t i = 0; i < count; i++) {
    if (memcmp(&list[i], port, sizeof *port) == 0) {
      return true;
    }
  }
  return false;
}

/* Whether the line is of a port where a program listens. `state` is 0 where it is no socket's. The address is printed as 32-bit words in
 * host order. */
static bool parse_port(const char *line, bool udp, bool v6, struct port *out, unsigned *state) {
  char hex[40];
  unsigned number, peer;
  memset(out, 0, sizeof *out);
  *state = 0;
  if (sscanf(line, " %*d: %39[0-9A-F]:%x %*[0-9A-F]:%x %x", hex, &number, &peer, state) != 4 || strlen(hex) != (v6 ? 32u : 8u)) {
    return false;
  }
  for (int word = 0; word < (v6 ? 4 : 1); word++) {
    char digits[9] = "";
    memcpy(digits, hex + word * 8, 8);
    put32(out->address + word * 4, (uint32_t)strtoul(digits, NULL, 16));
  }
  out->number = (uint16_t)number, out->udp = udp, out->v6 = v6;
  bool own_resolver = !v6 && number == 53 && memcmp(out->address, "\x7f\0\0\x0b", 4) == 0;
  return !own_resolver && (udp ? *state == UDP_OPEN && peer == 0 : *state == TCP_LISTEN);
}

static void scan_file(const char *path, bool udp, bool v6, struct port *list, size_t *count) {
  FILE *file = fopen(path, "re");
  char line[512];
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    struct port port;
    unsigned state;
    if (parse_port(line, udp, v6, &port, &state) && *count < MAX_PORTS && !has_port(list, *count, &port)) {
      list[(*count)++] = port;
    }
    /* The kernel lists what listens before what is connected, which may be thousands of lines. */
    if (!udp && state != 0 && state != TCP_LISTEN) {
      break;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
}

static void note_change(const struct port *port) {
  if (!port->udp) {
    changed_at = now_ms();
  }
}

/* Without events a fiftieth of the time since the last change: 100 ms in the first five seconds. With them a third, which is for UDP ports;
 * after an event soon, then once more when LATE_MS are over. */
static uint64_t pause(void) {
  uint64_t now = now_ms(), since = now - event_at;
  if (have_events && tcp_changed) {
    due_soon = since < SETTLE_MS;
    return due_soon ? SETTLE_MS : since < LATE_MS ? LATE_MS - since : 0;
  }
  uint64_t wait = (now - changed_at) / (have_events ? 3 : 50), slow = have_events ? SLOW_MS : SLOW_MS / 2;
  return wait < FIRST_MS ? FIRST_MS : wait > slow ? slow : wait;
}

/* All that is open now; its length. */
static size_t list_ports(struct port *list) {
  size_t count = 0;
  if (!have_events || tcp_changed) {
    scan_file("/proc/net/tcp", false, false, list, &count);
    scan_file("/proc/net/tcp6", false, true, list, &count);
  } else {
    for (size_t i = 0; i < known_count; i++) {
      if (!known[i].udp) {
        list[count++] = known[i];
      }
    }
  }
  tcp_changed = tcp_changed && now_ms() - event_at < LATE_MS;
  scan_file("/proc/net/udp", true, false, list, &count);
  scan_file("/proc/net/udp6", true, true, list, &count);
  return count;
}

static void look_at_ports(struct timer *timer) {
  static struct port now[MAX_PORTS];
  due_soon = false;
  size_t count = list_ports(now);
  for (size_t i = 0; i < count; i++) {
    if (!has_port(known, known_count, &now[i])) {
      report(&now[i], EVENT_LISTENING);
      note_change(&now[i]);
    }
  }
  for (size_t i = 0; i < known_count; i++) {
    if (!has_port(now, count, &known[i])) {
      report(&known[i], EVENT_NOT_LISTENING);
      note_change(&known[i]);
    }
  }
  memcpy(known, now, count * sizeof *now);
  known_count = count;
  timer_start(timer, pause());
}

static void on_tcp_change(void) {
  event_at = now_ms();
  tcp_changed = true;
  if (!due_soon) {
    due_soon = true;
    timer_start(&ports_timer, SETTLE_MS);
  }
}

void watch_ports(bool on) {
  if (on && !watching) {
    have_events = listener_events_watch(on_tcp_change);
    known_count = 0, tcp_changed = true, due_soon = false, event_at = 0, changed_at = now_ms();
    ports_timer.fn = look_at_ports;
    timer_start(&ports_timer, 0);
  } else if (!on) {
    listener_events_watch(NULL);
    timer_stop(&ports_timer);
  }
  watching = on;
}
