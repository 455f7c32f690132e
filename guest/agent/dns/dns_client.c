#include "dns/dns_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/dns_message.h"
#include "lib/loop.h"

enum { CLIENTS = 32, CLIENT_MS = 15000, BACKLOG = 16 };

struct dns_client {
  struct watch watch;
  struct timer timer;
  bool used, waiting;
  size_t received, length, sent;
  uint8_t *bytes;
};
static struct dns_client clients[CLIENTS];
static const struct dns_client_handlers *on;
static struct watch listener = {.fd = -1};

static void client_close(struct dns_client *c) {
  on->gone(c);
  timer_stop(&c->timer);
  loop_unwatch(&c->watch);
  close(c->watch.fd);
  free(c->bytes);
  memset(c, 0, sizeof *c);
}

static void client_expired(struct timer *timer) {
  client_close((struct dns_client *)(void *)((char *)timer - offsetof(struct dns_client, timer)));
}

static void client_write(struct dns_client *c) {
  while (c->sent < c->length) {
    ssize_t n = write(c->watch.fd, c->bytes + c->sent, c->length - c->sent);
    if (n < 0 && errno == EAGAIN) {
      loop_change(&c->watch, EPOLLOUT);
      return;
    }
    if (n <= 0) {
      client_close(c);
      return;
    }
    c->sent += (size_t)n;
  }
  c->received = c->length = c->sent = 0, c->waiting = false;
  loop_change(&c->watch, EPOLLIN);
}

void dns_client_answer(struct dns_client *c, const uint8_t *message, size_t length) {
  if (length > DNS_MAX) {
    return;
  }
  memmove(c->bytes + 2, message, length);
  c->bytes[0] = (uint8_t)(length >> 8), c->bytes[1] = (uint8_t)length;
  c->length = length + 2, c->sent = 0;
  client_write(c);
}

static void on_client(struct watch *watch, uint32_t events) {
  struct dns_client *c = (struct dns_client *)(void *)watch;
  if (c->length > 0 && (events & EPOLLOUT)) {
    client_write(c);
    return;
  }
  ssize_t n = read(watch->fd, c->bytes + c->received, DNS_MAX + 2 - c->received);
  if (n <= 0) {
    if (n == 0 || errno != EAGAIN) {
      client_close(c);
    }
    return;
  }
  c->received += (size_t)n;
  size_t wanted = c->received >= 2 ? (size_t)(c->bytes[0] << 8 | c->bytes[1]) : SIZE_MAX;
  if (!c->waiting && wanted != SIZE_MAX && c->received >= wanted + 2) {
    static uint8_t message[DNS_MAX];
    memcpy(message, c->bytes + 2, wanted);
    c->waiting = true;
    loop_change(&c->watch, 0);
    on->asked(c, message, wanted);
  }
}

static void on_connection(struct watch *watch, uint32_t events) {
  (void)events;
  int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  for (size_t i = 0; fd >= 0 && i < CLIENTS; i++) {
    struct dns_client *c = &clients[i];
    if (!c->used && (c->bytes = malloc(DNS_MAX + 2)) != NULL) {
      c->used = true, c->watch = (struct watch){fd, on_client}, c->timer.fn = client_expired;
      loop_watch(&c->watch, EPOLLIN);
      timer_start(&c->timer, CLIENT_MS);
      return;
    }
  }
  if (fd >= 0) {
    close(fd);
  }
}

bool dns_clients_listen(int fd, const struct dns_client_handlers *handlers) {
  on = handlers;
  listener = (struct watch){fd, on_connection};
  return listen(fd, BACKLOG) == 0 && loop_watch(&listener, EPOLLIN);
}
