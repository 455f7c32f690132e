/*
 * The resolver of a machine: 127.0.0.11:53, UDP and TCP. Names of the stack come from a table, with all their
 * addresses in turning order; other names go to the upstreams one after the other, over UDP or, when the
 * question came by TCP, over TCP.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns_table.h"

enum { UDP_SIZE = 1232, QUERIES = 128, CLIENTS = 32, MAX_UPSTREAMS = 4, UPSTREAM_MS = 2000, CLIENT_MS = 15000 };

static struct sockaddr_in upstreams[MAX_UPSTREAMS];
static size_t upstream_count;
static struct watch udp = {.fd = -1}, tcp = {.fd = -1};

/* A question that waits for an upstream, on a socket of its own (so its port is hard to guess). */
struct query {
  struct watch watch;
  struct timer timer;
  bool used, over_tcp;
  size_t upstream, length, sent, received;
  uint16_t asked_id, own_id;
  struct sockaddr_in from;
  struct client *client;
  uint8_t *message;
  struct dns_question question;
};
struct client {
  struct watch watch;
  struct timer timer;
  bool used, waiting;
  size_t received, length, sent;
  uint8_t *bytes;
};
static struct query queries[QUERIES];
static struct client clients[CLIENTS];

void dns_configure(const struct machine_orders *orders) {
  dns_set_names(orders->names, orders->name_count);
  dns_set_suffixes(&orders->search);
  upstream_count = 0;
  for (size_t i = 0; i < orders->upstreams.count && upstream_count < MAX_UPSTREAMS; i++) {
    struct sockaddr_in *to = &upstreams[upstream_count];
    to->sin_family = AF_INET, to->sin_port = htons(53);
    upstream_count += inet_pton(AF_INET, orders->upstreams.items[i], &to->sin_addr) == 1;
  }
}

/* ---- clients over TCP ---- */

static void client_close(struct client *c) {
  timer_stop(&c->timer);
  loop_unwatch(&c->watch);
  close(c->watch.fd);
  free(c->bytes);
  memset(c, 0, sizeof *c);
}

static void client_expired(struct timer *timer) { client_close((struct client *)(void *)((char *)timer - offsetof(struct client, timer))); }

static void client_write(struct client *c) {
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

/* ---- answers to whoever asked ---- */

static void reply(const struct query *q, uint8_t *m, size_t length) {
  if (q->client != NULL) {
    struct client *c = q->client;
    if (length > DNS_MAX) {
      return;
    }
    memmove(c->bytes + 2, m, length);
    c->bytes[0] = (uint8_t)(length >> 8), c->bytes[1] = (uint8_t)length;
    c->length = length + 2, c->sent = 0;
    client_write(c);
  } else {
    sendto(udp.fd, m, length, MSG_DONTWAIT, (const struct sockaddr *)&q->from, sizeof q->from);
  }
}

static void query_close(struct query *q) {
  timer_stop(&q->timer);
  if (q->watch.fd >= 0) {
    loop_unwatch(&q->watch);
    close(q->watch.fd);
  }
  free(q->message);
  memset(q, 0, sizeof *q);
}

static void query_ask(struct query *q);

static void next_upstream(struct query *q) {
  if (q->watch.fd >= 0) {
    loop_unwatch(&q->watch);
    close(q->watch.fd);
    q->watch.fd = -1;
  }
  q->upstream++;
  query_ask(q);
}

static void query_expired(struct timer *timer) { next_upstream((struct query *)(void *)((char *)timer - offsetof(struct query, timer))); }

/* An answer counts only if it repeats the question: anybody could have sent it. */
static void query_answered(struct query *q, uint8_t *m, size_t length) {
  size_t end = q->question.end;
  bool same = length >= end && ((uint16_t)(m[0] << 8 | m[1])) == q->own_id && (m[2] & 0x80) != 0;
  for (size_t i = 12; same && i < end; i++) {
    same = (m[i] | 0x20) == (q->message[2 + i] | 0x20);
  }
  if (!same) {
    return;
  }
  int code = m[3] & 15;
  if ((code == DNS_SERVFAIL || code == DNS_REFUSED) && q->upstream + 1 < upstream_count) {
    next_upstream(q);
    return;
  }
  m[0] = (uint8_t)(q->asked_id >> 8), m[1] = (uint8_t)q->asked_id;
  reply(q, m, length);
  query_close(q);
}

static void query_tcp(struct query *q, uint32_t events) {
  static uint8_t answer[DNS_MAX + 2];
  if (q->sent < q->length) {
    bool refused = (events & (EPOLLERR | EPOLLHUP)) != 0;
    ssize_t n = refused ? -1 : write(q->watch.fd, q->message + q->sent, q->length - q->sent);
    q->sent += n > 0 ? (size_t)n : 0;
    if (refused || (n <= 0 && errno != EAGAIN)) {
      next_upstream(q);
    } else if (q->sent == q->length) {
      loop_change(&q->watch, EPOLLIN);
    }
    return;
  }
  /* Peeking until it is whole spares a buffer for each query. */
  ssize_t n = recv(q->watch.fd, answer, sizeof answer, MSG_PEEK | MSG_DONTWAIT);
  size_t wanted = n >= 2 ? (size_t)(answer[0] << 8 | answer[1]) : 0;
  if (n >= 2 && (size_t)n >= wanted + 2) {
    query_answered(q, answer + 2, wanted);
    return;
  }
  if ((n < 0 && errno != EAGAIN) || n == 0 || (size_t)n == q->received) {
    next_upstream(q);
    return;
  }
  q->received = (size_t)n;
  int low = (int)wanted + 2;
  setsockopt(q->watch.fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
}

static void on_query(struct watch *watch, uint32_t events) {
  static uint8_t answer[DNS_MAX];
  struct query *q = (struct query *)(void *)watch;
  if (q->over_tcp) {
    query_tcp(q, events);
    return;
  }
  ssize_t n = recv(watch->fd, answer, sizeof answer, MSG_DONTWAIT);
  if (n > 0) {
    query_answered(q, answer, (size_t)n);
  } else if (n < 0 && errno != EAGAIN) {
    next_upstream(q);
  }
}

static void query_ask(struct query *q) {
  uint8_t *m = q->message + 2;
  for (; q->upstream < upstream_count; q->upstream++) {
    q->watch = (struct watch){socket(AF_INET, (q->over_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on_query};
    if (getrandom(&q->own_id, sizeof q->own_id, 0) < 0) {
      errno = 0;
    }
    m[0] = (uint8_t)(q->own_id >> 8), m[1] = (uint8_t)q->own_id;
    q->sent = q->received = 0;
    const struct sockaddr *to = (const struct sockaddr *)&upstreams[q->upstream];
    bool ok = q->watch.fd >= 0 && (connect(q->watch.fd, to, sizeof *upstreams) == 0 || errno == EINPROGRESS);
    if (ok && !q->over_tcp) {
      ok = send(q->watch.fd, m, q->length - 2, MSG_DONTWAIT) >= 0;
    }
    if (ok && loop_watch(&q->watch, q->over_tcp ? EPOLLOUT : EPOLLIN)) {
      q->timer.fn = query_expired;
      timer_start(&q->timer, UPSTREAM_MS);
      return;
    }
    if (q->watch.fd >= 0) {
      close(q->watch.fd);
    }
    q->watch.fd = -1;
  }
  m[0] = (uint8_t)(q->asked_id >> 8), m[1] = (uint8_t)q->asked_id;
  reply(q, m, dns_reply(m, &q->question, DNS_SERVFAIL));
  query_close(q);
}

static void forward(const struct query *asked, const uint8_t *m, size_t length) {
  for (size_t i = 0; i < QUERIES; i++) {
    struct query *q = &queries[i];
    if (!q->used) {
      *q = *asked;
      q->used = true, q->watch.fd = -1, q->length = length + 2;
      q->message = malloc(length + 2);
      if (q->message == NULL) {
        q->used = false;
        return;
      }
      q->message[0] = (uint8_t)(length >> 8), q->message[1] = (uint8_t)length;
      memcpy(q->message + 2, m, length);
      q->asked_id = (uint16_t)(m[0] << 8 | m[1]);
      query_ask(q);
      return;
    }
  }
}

/* ---- questions ---- */

static void on_question(struct query *asked, uint8_t *m, size_t length, size_t size) {
  if (!dns_parse(m, length, &asked->question)) {
    return;
  }
  size_t answer = dns_answer_here(m, &asked->question, size, upstream_count > 0);
  if (answer > 0) {
    reply(asked, m, answer);
  } else {
    forward(asked, m, length);
  }
}

static void on_udp(struct watch *watch, uint32_t events) {
  static uint8_t m[DNS_MAX];
  (void)events;
  for (int i = 0; i < 64; i++) {
    struct query asked = {0};
    socklen_t size = sizeof asked.from;
    ssize_t n = recvfrom(watch->fd, m, sizeof m, MSG_DONTWAIT, (struct sockaddr *)&asked.from, &size);
    if (n < 0) {
      return;
    }
    /* Without EDNS a resolver takes 512 bytes (RFC 1035); glibc and musl take more when they say so. */
    on_question(&asked, m, (size_t)n, m[11] == 1 ? UDP_SIZE : 512);
  }
}

static void on_client(struct watch *watch, uint32_t events) {
  struct client *c = (struct client *)(void *)watch;
  if (c->length > 0 && (events & EPOLLOUT)) {
    client_write(c);
    return;
  }
  ssize_t n = read(watch->fd, c->bytes + c->received, DNS_MAX + 2 - c->received);
  if (n <= 0) {
    if (n == 0 || errno != EAGAIN) {
      for (size_t i = 0; i < QUERIES; i++) {
        if (queries[i].client == c) {
          query_close(&queries[i]);
        }
      }
      client_close(c);
    }
    return;
  }
  c->received += (size_t)n;
  size_t wanted = c->received >= 2 ? (size_t)(c->bytes[0] << 8 | c->bytes[1]) : SIZE_MAX;
  if (!c->waiting && wanted != SIZE_MAX && c->received >= wanted + 2) {
    struct query asked = {.client = c, .over_tcp = true};
    static uint8_t m[DNS_MAX];
    memcpy(m, c->bytes + 2, wanted);
    c->waiting = true;
    loop_change(&c->watch, 0);
    on_question(&asked, m, wanted, DNS_MAX);
  }
}

static void client_gone(struct timer *timer) {
  struct client *c = (struct client *)(void *)((char *)timer - offsetof(struct client, timer));
  for (size_t i = 0; i < QUERIES; i++) {
    if (queries[i].client == c) {
      query_close(&queries[i]);
    }
  }
  client_expired(timer);
}

static void on_tcp(struct watch *watch, uint32_t events) {
  (void)events;
  int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  for (size_t i = 0; fd >= 0 && i < CLIENTS; i++) {
    struct client *c = &clients[i];
    if (!c->used && (c->bytes = malloc(DNS_MAX + 2)) != NULL) {
      c->used = true, c->watch = (struct watch){fd, on_client}, c->timer.fn = client_gone;
      loop_watch(&c->watch, EPOLLIN);
      timer_start(&c->timer, CLIENT_MS);
      return;
    }
  }
  if (fd >= 0) {
    close(fd);
  }
}

const char *dns_start(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(53)};
  int one = 1;
  if (host_test || udp.fd >= 0) {
    return NULL;
  }
  inet_pton(AF_INET, "127.0.0.11", &at.sin_addr);
  udp = (struct watch){socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on_udp};
  tcp = (struct watch){socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on_tcp};
  setsockopt(tcp.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  bool ok = bind(udp.fd, (struct sockaddr *)&at, sizeof at) == 0 && bind(tcp.fd, (struct sockaddr *)&at, sizeof at) == 0 &&
            listen(tcp.fd, 16) == 0 && loop_watch(&udp, EPOLLIN) && loop_watch(&tcp, EPOLLIN);
  if (!ok) {
    watch_close(&udp), watch_close(&tcp);
  }
  return ok ? NULL : "the resolver on 127.0.0.11:53 could not be started";
}
