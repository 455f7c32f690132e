/* Streams, request pairs and connections between two ends; names of the resolver that /etc/resolv.conf says. */
#define _GNU_SOURCE
#include "probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIR 64
#define PAIRS 1000
#define CONNECTIONS 200

static bool read_all(int fd, void *into, size_t size) {
  for (size_t got = 0; got < size;) {
    ssize_t n = read(fd, (char *)into + got, size - got);
    if (n <= 0) {
      return false;
    }
    got += (size_t)n;
  }
  return true;
}

static void write_all(int fd, long long left) {
  while (left > 0) {
    ssize_t n = write(fd, buffer, left < BUFFER ? (size_t)left : BUFFER);
    if (n <= 0) {
      die("write");
    }
    left -= n;
  }
}

/* A connection begins with its kind: `u`ploads until its end, `d`ownloads the bytes that follow as a number, or `p`airs. */
static void answer(int fd) {
  char kind = 0;
  uint64_t size;
  if (!read_all(fd, &kind, 1)) {
    return;
  }
  if (kind == 'u') {
    while (read(fd, buffer, BUFFER) > 0) {
    }
    write_all(fd, 1);
  } else if (kind == 'd' && read_all(fd, &size, sizeof size)) {
    write_all(fd, (long long)size);
  } else if (kind == 'p') {
    while (read_all(fd, buffer, PAIR)) {
      write_all(fd, PAIR);
    }
  }
}

void run_serve(int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  signal(SIGCHLD, SIG_IGN);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1024) != 0) {
    die("listen");
  }
  printf("listening %d\n", port);
  for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fork() == 0) {
      answer(fd);
      _exit(0);
    }
  }
  die("accept");
}

static int dial(const struct sockaddr_in *to, char kind) {
  int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) != 0) {
    die("connect");
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (write(fd, &kind, 1) != 1) {
    die("write");
  }
  return fd;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void median(const char *what, double *times, int count) {
  qsort(times, (size_t)count, sizeof *times, by_size);
  printf("%s %.1f\n", what, times[count / 2] * 1e6);
}

static void one_pair(int fd) {
  write_all(fd, PAIR);
  if (!read_all(fd, buffer, PAIR)) {
    die("the answer");
  }
}

static void streams(const struct sockaddr_in *to, uint64_t size) {
  char end;
  double begin = now();
  int fd = dial(to, 'u');
  write_all(fd, (long long)size);
  shutdown(fd, SHUT_WR);
  if (!read_all(fd, &end, 1)) {
    die("the end of what was sent");
  }
  printf("up %.6f\n", now() - begin);
  close(fd);
  begin = now();
  fd = dial(to, 'd');
  uint64_t got = 0;
  if (write(fd, &size, sizeof size) != sizeof size) {
    die("write");
  }
  for (ssize_t n; got < size && (n = read(fd, buffer, BUFFER)) > 0;) {
    got += (uint64_t)n;
  }
  if (got != size) {
    die("too few bytes came");
  }
  printf("down %.6f\n", now() - begin);
  close(fd);
}

static struct in_addr resolver(void) {
  char line[256], text[64];
  struct in_addr found = {0};
  FILE *file = fopen("/etc/resolv.conf", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "nameserver %63s", text) == 1 && inet_aton(text, &found)) {
      fclose(file);
      return found;
    }
  }
  die("/etc/resolv.conf has no IPv4 resolver");
}

/* A question for an address, whose number is its place. */
static size_t question(unsigned char *out, const char *name, int number) {
  static const unsigned char head[] = {1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, tail[] = {0, 0, 1, 0, 1};
  size_t length = strlen(name);
  out[0] = (unsigned char)(number >> 8);
  out[1] = (unsigned char)number;
  memcpy(out + 2, head, sizeof head);
  out[12] = (unsigned char)length;
  memcpy(out + 13, name, length);
  memcpy(out + 13 + length, tail, sizeof tail);
  return 13 + length + sizeof tail;
}

static int ask_resolver(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr = resolver()};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
    die("the resolver");
  }
  return fd;
}

/* A static program has no names of its C library everywhere. The address is what an answer with one record ends with. */
static struct in_addr resolve(const char *host) {
  unsigned char packet[512];
  struct in_addr found;
  if (inet_aton(host, &found)) {
    return found;
  }
  int fd = ask_resolver();
  ssize_t n = write(fd, packet, question(packet, host, 1)) > 0 ? read(fd, packet, sizeof packet) : -1;
  if (n < 16 || (packet[3] & 15) != 0 || packet[7] == 0) {
    die(host);
  }
  memcpy(&found, packet + n - sizeof found, sizeof found);
  close(fd);
  return found;
}

void run_net(const char *host, const char *port, long mib) {
  static double times[PAIRS];
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr = resolve(host)};
  if (mib > 0) {
    streams(&to, (uint64_t)mib * MIB);
  }
  int fd = dial(&to, 'p');
  for (int i = 0; i < PAIRS; i++) {
    double begin = now();
    one_pair(fd);
    times[i] = now() - begin;
  }
  close(fd);
  median("pair", times, PAIRS);
  for (int i = 0; i < CONNECTIONS; i++) {
    double begin = now();
    fd = dial(&to, 'p');
    one_pair(fd);
    times[i] = now() - begin;
    close(fd);
  }
  median("connect", times, CONNECTIONS);
}

/* NAME is one label. Questions that no answer came to for two seconds are lost. */
void run_dns(const char *name, int count, int most) {
  unsigned char packet[512];
  int fd = ask_resolver(), sent = 0, got = 0;
  double begin = now();
  for (struct pollfd ready = {.fd = fd, .events = POLLIN}; got < count; got++) {
    for (; sent < count && sent - got < most; sent++) {
      if (write(fd, packet, question(packet, name, sent)) < 0) {
        die("a question");
      }
    }
    if (poll(&ready, 1, 2000) <= 0 || read(fd, packet, sizeof packet) < 12) {
      break;
    }
  }
  printf("names %.1f\n", got / (now() - begin));
  printf("lost %d\n", count - got);
}
