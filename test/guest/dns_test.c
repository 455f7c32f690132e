/* The resolver as a program, in a network namespace of its own (`unshare --net`): this process plays the programs of the
 * machine and two upstreams, a child is the resolver. Prints a line for each case. */
#include <arpa/inet.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dns/dns.h"
#include "dns/dns_table.h"
#include "lib/loop.h"

#define RESOLVER "127.0.0.11"
#define FIRST "127.0.0.2"
#define SECOND "127.0.0.3"

static void die(const char *what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in at(const char *address) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(53)};
  inet_pton(AF_INET, address, &in.sin_addr);
  return in;
}

static void bring_up_loopback(void) {
  struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  if (ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &lo) != 0) {
    die("lo");
  }
}

static int open_socket(int type, const char *listen_on, const char *connect_to) {
  int fd = socket(AF_INET, type, 0), one = 1;
  struct timeval limit = {10, 0};
  struct sockaddr_in own = listen_on == NULL ? (struct sockaddr_in){0} : at(listen_on), peer = connect_to == NULL ? own : at(connect_to);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (listen_on != NULL && (bind(fd, (struct sockaddr *)&own, sizeof own) != 0 || (type == SOCK_STREAM && listen(fd, 8) != 0))) {
    die(listen_on);
  }
  if (connect_to != NULL && connect(fd, (struct sockaddr *)&peer, sizeof peer) != 0) {
    die(connect_to);
  }
  return fd;
}

_Noreturn static void resolve(void) {
  static char *addresses[] = {FIRST, SECOND, NULL}, *suffixes[] = {"shop.hypr", NULL};
  static uint8_t replicas[2][4] = {{10, 0, 0, 3}, {10, 0, 0, 4}};
  const struct dns_name names[] = {{.name = "db", .addresses = replicas, .count = 2}};
  const struct strings search = {suffixes, 1}, upstreams = {addresses, 2};
  loop_init();
  signal(SIGPIPE, SIG_IGN);
  dns_set_names(names, 1);
  dns_configure(&search, &upstreams);
  const char *error = dns_start();
  if (error != NULL) {
    fprintf(stderr, "%s\n", error);
    exit(1);
  }
  for (;;) {
    loop_step();
  }
}

/* A question for an A record; gives its length. */
static size_t ask(uint8_t *out, uint16_t id, const char *name) {
  uint8_t head[12] = {(uint8_t)(id >> 8), (uint8_t)id, 1, 0, 0, 1};
  size_t n = sizeof head;
  memcpy(out, head, sizeof head);
  for (const char *label = name; *label != 0;) {
    size_t length = strcspn(label, ".");
    out[n++] = (uint8_t)length;
    memcpy(out + n, label, length);
    n += length, label += length + (label[length] == '.');
  }
  memcpy(out + n, "\0\0\1\0\1", 5);
  return n + 5;
}

static void say(const char *what, const uint8_t *m, ssize_t n) {
  if (n < 12) {
    printf("%s: nothing\n", what);
  } else {
    printf("%s: id %d code %d answers %d\n", what, m[0] << 8 | m[1], m[3] & 15, m[7]);
  }
  fflush(stdout);
}

static void put_record(int fd, const uint8_t *m, size_t n) {
  uint8_t head[2] = {(uint8_t)(n >> 8), (uint8_t)n};
  if (write(fd, head, 2) != 2 || write(fd, m, n) != (ssize_t)n) {
    die("write");
  }
}

static ssize_t get_record(int fd, uint8_t *m) {
  uint8_t head[2];
  return recv(fd, head, 2, MSG_WAITALL) == 2 ? recv(fd, m, (size_t)(head[0] << 8 | head[1]), MSG_WAITALL) : -1;
}

/* As an upstream: what was asked, with this code and, for 0, one address. */
static size_t answer(uint8_t *m, size_t n, uint8_t code) {
  static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 1, 2, 3, 4};
  m[2] |= 0x80, m[3] = code;
  if (code != 0) {
    return n;
  }
  m[7] = 1;
  memcpy(m + n, record, sizeof record);
  return n + sizeof record;
}

static void over_udp(int first, int second) {
  uint8_t m[1500];
  int client = open_socket(SOCK_DGRAM, NULL, RESOLVER);
  send(client, m, ask(m, 1, "DB"), 0);
  say("udp, of the stack", m, recv(client, m, sizeof m, 0));
  send(client, m, ask(m, 2, "none.shop.hypr"), 0);
  say("udp, not of the stack", m, recv(client, m, sizeof m, 0));
  send(client, m, ask(m, 3, "example.org"), 0);
  struct sockaddr_in from;
  socklen_t size = sizeof from;
  ssize_t n = recvfrom(first, m, sizeof m, 0, (struct sockaddr *)&from, &size);
  sendto(first, m, answer(m, (size_t)n, DNS_SERVFAIL), 0, (struct sockaddr *)&from, size);
  size = sizeof from;
  n = recvfrom(second, m, sizeof m, 0, (struct sockaddr *)&from, &size);
  /* Not an answer to this question: its id is another one. */
  m[0] ^= 0xff;
  sendto(second, m, answer(m, (size_t)n, DNS_NXDOMAIN), 0, (struct sockaddr *)&from, size);
  m[0] ^= 0xff;
  sendto(second, m, answer(m, (size_t)n, 0), 0, (struct sockaddr *)&from, size);
  say("udp, of the second upstream", m, recv(client, m, sizeof m, 0));
  close(client);
}

static void over_tcp(int first) {
  uint8_t m[1500];
  int client = open_socket(SOCK_STREAM, NULL, RESOLVER);
  put_record(client, m, ask(m, 4, "db.shop.hypr"));
  say("tcp, of the stack", m, get_record(client, m));
  put_record(client, m, ask(m, 5, "example.org"));
  int asked = accept(first, NULL, NULL);
  ssize_t n = get_record(asked, m);
  put_record(asked, m, answer(m, (size_t)n, 0));
  say("tcp, of an upstream", m, get_record(client, m));
  close(asked), close(client);
}

/* The client goes while its question is with an upstream that is silent: both are given up when its time is over. */
static void abandoned(int first) {
  uint8_t m[1500];
  int client = open_socket(SOCK_STREAM, NULL, RESOLVER);
  put_record(client, m, ask(m, 6, "example.org"));
  int asked = accept(first, NULL, NULL);
  ssize_t n = get_record(asked, m);
  close(client);
  uint8_t rest;
  printf("abandoned: %s\n", n > 12 && recv(asked, &rest, 1, 0) <= 0 ? "the question is given up" : "still asked");
  close(asked);
  over_tcp(first);
}

/* Nobody listens at the upstreams any more. */
static void unanswered(void) {
  uint8_t m[1500];
  int client = open_socket(SOCK_STREAM, NULL, RESOLVER);
  put_record(client, m, ask(m, 7, "example.org"));
  say("without upstreams", m, get_record(client, m));
  close(client);
}

/* It says nothing when it begins to listen. */
static void await_resolver(void) {
  struct sockaddr_in to = at(RESOLVER);
  bool listens = false;
  for (int tries = 0; !listens && tries < 1000; tries++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    listens = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    close(fd);
    usleep(listens ? 0 : 5000);
  }
}

int main(void) {
  bring_up_loopback();
  int first_udp = open_socket(SOCK_DGRAM, FIRST, NULL), second_udp = open_socket(SOCK_DGRAM, SECOND, NULL);
  int first_tcp = open_socket(SOCK_STREAM, FIRST, NULL);
  pid_t resolver = fork();
  if (resolver == 0) {
    close(first_udp), close(second_udp), close(first_tcp);
    resolve();
  }
  await_resolver();
  over_udp(first_udp, second_udp);
  over_tcp(first_tcp);
  abandoned(first_tcp);
  close(first_tcp);
  unanswered();
  printf("resolver: %s\n", waitpid(resolver, NULL, WNOHANG) == 0 ? "runs" : "has ended");
  kill(resolver, SIGKILL);
  return 0;
}
