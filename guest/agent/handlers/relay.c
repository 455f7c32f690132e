#include "handlers/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/failure.h"
#include "lib/files.h"
#include "lib/paths.h"
#include "lib/wire.h"
#include "process/members.h"
#include "setup/show_socket.h"

enum { MAX_CONNECTIONS = 256, WINDOW = 65536, SEND_WINDOW = 262144, CHUNK = 16384, HEAD = 8, BACKLOG = 64 };
#define ACK 0x80000000u

struct connection {
  uint32_t number;
  int fd;
  uint8_t *buffer;
  size_t start, end;
  /* Bytes of the program's that the host has not taken yet. */
  size_t unread;
  /* No more comes from the host; no more comes from the program. */
  bool host_done, program_done;
};

static struct connection connections[MAX_CONNECTIONS];
static uint32_t last_number;
static bool broken, dials;

static void put_all(const void *data, size_t length) {
  for (const uint8_t *at = data; length > 0 && !broken;) {
    ssize_t n = write(1, at, length);
    if (n < 0 && errno != EINTR) {
      broken = true;
    } else if (n > 0) {
      at += n, length -= (size_t)n;
    }
  }
}

static void put_record(uint32_t number, const void *data, uint32_t length) {
  uint8_t head[HEAD];
  put32(head, number), put32(head + 4, length);
  put_all(head, sizeof head);
  put_all(data, length);
}

static void connection_close(struct connection *c) {
  close(c->fd);
  free(c->buffer);
  *c = (struct connection){.fd = -1};
}

/* Says that a connection is over in both directions. */
static void put_gone(uint32_t number) { put_record(number | ACK, NULL, 0); }

static void connection_settle(struct connection *c) {
  if (c->host_done && c->start == c->end && c->program_done) {
    connection_close(c);
  }
}

static struct connection *find(uint32_t number) {
  for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
    if (connections[i].fd >= 0 && connections[i].number == number) {
      return &connections[i];
    }
  }
  return NULL;
}

/* Takes over the descriptor; false, with it closed, when there is no room. */
static bool connection_open(uint32_t number, int fd) {
  size_t i = 0;
  while (i < MAX_CONNECTIONS && connections[i].fd >= 0) {
    i++;
  }
  uint8_t *buffer = fd < 0 || i == MAX_CONNECTIONS ? NULL : malloc(WINDOW);
  if (buffer == NULL) {
    if (fd >= 0) {
      close(fd);
    }
    return false;
  }
  connections[i] = (struct connection){.number = number, .fd = fd, .buffer = buffer};
  return true;
}

static void on_accept(int listener) {
  uint32_t number = last_number + 1;
  if (connection_open(number, accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK))) {
    last_number = number;
    put_record(number, NULL, 0);
  }
}

static int connect_to(uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
    close(fd);
    fd = -1;
  }
  return fd;
}

/* To a port of loopback, or to a further service's agent, whose name is longer. */
/* The answer to a failure is that the connection is gone. */
static void on_dial(uint32_t number, const uint8_t *place, size_t length) {
  last_number = number;
  if (!connection_open(number, length > 2 ? member_connect(place, length) : connect_to(get16(place)))) {
    put_gone(number);
  }
}

static void on_program(struct connection *c) {
  uint8_t data[CHUNK];
  ssize_t n = read(c->fd, data, sizeof data);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (n < 0) {
    put_gone(c->number);
    connection_close(c);
    return;
  }
  put_record(c->number, data, (uint32_t)n);
  c->unread += (size_t)n;
  c->program_done = n == 0;
  connection_settle(c);
}

static void flush(struct connection *c) {
  while (c->start < c->end) {
    ssize_t n = send(c->fd, c->buffer + c->start, c->end - c->start, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      return;
    }
    uint8_t taken[4];
    size_t passed = n > 0 ? (size_t)n : c->end - c->start;
    put32(taken, (uint32_t)passed);
    c->start += passed;
    put_record(c->number | ACK, taken, sizeof taken);
  }
  c->start = c->end = 0;
  if (c->host_done) {
    shutdown(c->fd, SHUT_WR);
  }
  connection_settle(c);
}

/* The host took bytes, or has no use for the connection any more. */
static void on_taken(struct connection *c, const uint8_t *data, size_t length) {
  if (length == 4) {
    size_t taken = get32(data);
    c->unread -= taken < c->unread ? taken : c->unread;
  } else {
    connection_close(c);
  }
}

/* False when the host does not keep to its window. */
static bool on_record(uint32_t number, const uint8_t *data, size_t length) {
  struct connection *c = find(number & ~ACK);
  if (c == NULL) {
    /* What comes late for a connection that is over opens no other. */
    if (dials && number > last_number && number < ACK && length >= 2) {
      on_dial(number, data, length);
    }
    return true;
  }
  if (number >= ACK) {
    on_taken(c, data, length);
    return true;
  }
  if (c->start > 0) {
    memmove(c->buffer, c->buffer + c->start, c->end - c->start);
    c->end -= c->start, c->start = 0;
  }
  if (length > WINDOW - c->end) {
    return false;
  }
  memcpy(c->buffer + c->end, data, length);
  c->end += length;
  c->host_done = c->host_done || length == 0;
  flush(c);
  return true;
}

/* Whole records of what the host sent; false at its end. */
static bool on_host(void) {
  static uint8_t bytes[HEAD + CHUNK];
  static size_t have;
  ssize_t n = read(0, bytes + have, sizeof bytes - have);
  if (n <= 0) {
    return n < 0 && (errno == EAGAIN || errno == EINTR);
  }
  have += (size_t)n;
  for (;;) {
    size_t length = have < HEAD ? 0 : get32(bytes + 4);
    if (have < HEAD || (length <= CHUNK && have < HEAD + length)) {
      return true;
    }
    if (length > CHUNK || !on_record(get32(bytes), bytes + HEAD, length)) {
      return false;
    }
    have -= HEAD + length;
    memmove(bytes, bytes + HEAD + length, have);
  }
}

static int listen_unix(const struct simple_request *request) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (request->path == NULL || request->path[0] == 0 || strchr(request->path, '/') != NULL ||
      snprintf(address.sun_path, sizeof address.sun_path, SOCKETS "/%s", request->path) >= (int)sizeof address.sun_path) {
    errno = EINVAL;
    return -1;
  }
  int fd = make_dirs(SOCKETS, 0755) == 0 ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
  unlink(address.sun_path);
  bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && chown(address.sun_path, request->uid, request->gid) == 0 &&
            chmod(address.sun_path, request->mode & 0777) == 0 && listen(fd, BACKLOG) == 0;
  return ok ? fd : -1;
}

static int listen_port(uint32_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
  bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
            listen(fd, BACKLOG) == 0;
  return ok ? fd : -1;
}

static bool serve(int listener) {
  struct pollfd fds[MAX_CONNECTIONS + 2] = {{.fd = 0, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
  for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
    const struct connection *c = &connections[i];
    short events = (short)((c->program_done || c->unread >= SEND_WINDOW ? 0 : POLLIN) | (c->start < c->end ? POLLOUT : 0));
    /* Without events it would still be woken by a hang-up, for ever. */
    fds[i + 2] = (struct pollfd){.fd = c->fd < 0 || events == 0 ? -1 : c->fd, .events = events};
  }
  if (poll(fds, MAX_CONNECTIONS + 2, -1) < 0) {
    return errno == EINTR;
  }
  for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
    struct connection *c = &connections[i];
    if (fds[i + 2].fd >= 0 && (fds[i + 2].revents & POLLOUT) != 0) {
      flush(c);
    }
    if (fds[i + 2].fd >= 0 && c->fd == fds[i + 2].fd && !c->program_done && c->unread < SEND_WINDOW &&
        (fds[i + 2].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      on_program(c);
    }
  }
  if (fds[1].revents != 0) {
    on_accept(listener);
  }
  return fds[0].revents == 0 || on_host();
}

static int carry(int listener) {
  for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
    connections[i].fd = -1;
  }
  /* Connection 0 is none: it says that programs may connect now. */
  put_record(0, NULL, 0);
  while (!broken && serve(listener)) {
  }
  return 0;
}

static int show(const struct simple_request *request, pid_t viewer) {
  char path[sizeof((struct sockaddr_un *)0)->sun_path];
  snprintf(path, sizeof path, SOCKETS "/%s", request->path);
  return show_socket(path, request->target, viewer);
}

int relay(const struct simple_request *request, pid_t viewer) {
  int listener = request->port != 0 ? listen_port(request->port) : listen_unix(request);
  if (listener < 0) {
    return fail(REASON_MACHINE, "listening for the host: %s", strerror(errno));
  }
  bool shown = request->port != 0 || request->target == NULL;
  return shown || show(request, viewer) == 0 ? carry(listener) : -1;
}

int dial(void) {
  dials = true;
  return carry(-1);
}
