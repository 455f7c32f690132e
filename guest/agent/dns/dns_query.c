#include "dns/dns_query.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/loop.h"

enum { QUERIES = 128, MAX_UPSTREAMS = 4, UPSTREAM_MS = 2000 };

static struct sockaddr_in upstreams[MAX_UPSTREAMS];
static size_t upstream_count;

/* A question that waits for an upstream, on a socket of its own (so its port is hard to guess). */
struct query {
  struct watch watch;
  struct timer timer;
  bool used;
  size_t upstream, length, sent, received;
  uint16_t asked_id, own_id;
  struct dns_asker asker;
  struct dns_question question;
  dns_answer_fn *answer;
  /* With its length before it, as over TCP. */
  uint8_t *message;
};
static struct query queries[QUERIES];

void dns_set_upstreams(const struct strings *addresses) {
  upstream_count = 0;
  for (size_t i = 0; i < addresses->count && upstream_count < MAX_UPSTREAMS; i++) {
    struct sockaddr_in *to = &upstreams[upstream_count];
    to->sin_family = AF_INET, to->sin_port = htons(53);
    upstream_count += inet_pton(AF_INET, addresses->items[i], &to->sin_addr) == 1;
  }
}

bool dns_has_upstreams(void) { return upstream_count > 0; }

static bool over_tcp(const struct query *q) { return q->asker.client != NULL; }

static void close_socket(struct query *q) {
  if (q->watch.fd >= 0) {
    loop_unwatch(&q->watch);
    close(q->watch.fd);
    q->watch.fd = -1;
  }
}

static void query_close(struct query *q) {
  timer_stop(&q->timer);
  close_socket(q);
  free(q->message);
  memset(q, 0, sizeof *q);
}

/* The query is over before its client hears of it: a client that is gone by then takes its queries with it. */
static void query_finish(struct query *q, uint8_t *m, size_t length) {
  struct dns_asker asker = q->asker;
  dns_answer_fn *answer = q->answer;
  uint8_t *message = q->message;
  m[0] = (uint8_t)(q->asked_id >> 8), m[1] = (uint8_t)q->asked_id;
  q->message = NULL;
  query_close(q);
  answer(&asker, m, length);
  free(message);
}

static void query_ask(struct query *q);

static void next_upstream(struct query *q) {
  close_socket(q);
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
  } else {
    query_finish(q, m, length);
  }
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
  if (over_tcp(q)) {
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

/* True if the upstream's answer is waited for now. */
static bool ask_upstream(struct query *q, const struct sockaddr_in *to) {
  uint8_t *m = q->message + 2;
  q->watch = (struct watch){socket(AF_INET, (over_tcp(q) ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on_query};
  if (getrandom(&q->own_id, sizeof q->own_id, 0) < 0) {
    errno = 0;
  }
  m[0] = (uint8_t)(q->own_id >> 8), m[1] = (uint8_t)q->own_id;
  q->sent = q->received = 0;
  bool ok = q->watch.fd >= 0 && (connect(q->watch.fd, (const struct sockaddr *)to, sizeof *to) == 0 || errno == EINPROGRESS);
  ok = ok && (over_tcp(q) || send(q->watch.fd, m, q->length - 2, MSG_DONTWAIT) >= 0);
  if (ok && loop_watch(&q->watch, over_tcp(q) ? EPOLLOUT : EPOLLIN)) {
    q->timer.fn = query_expired;
    timer_start(&q->timer, UPSTREAM_MS);
    return true;
  }
  if (q->watch.fd >= 0) {
    close(q->watch.fd);
  }
  q->watch.fd = -1;
  return false;
}

static void query_ask(struct query *q) {
  for (; q->upstream < upstream_count; q->upstream++) {
    if (ask_upstream(q, &upstreams[q->upstream])) {
      return;
    }
  }
  uint8_t *m = q->message + 2;
  query_finish(q, m, dns_reply(m, &q->question, DNS_SERVFAIL));
}

void dns_forward(const struct dns_asker *asker, const struct dns_question *question, const uint8_t *m, size_t length, dns_answer_fn *answer) {
  struct query *q = queries;
  while (q < queries + QUERIES && q->used) {
    q++;
  }
  uint8_t *message = q == queries + QUERIES ? NULL : malloc(length + 2);
  if (message == NULL) {
    return;
  }
  message[0] = (uint8_t)(length >> 8), message[1] = (uint8_t)length;
  memcpy(message + 2, m, length);
  *q = (struct query){.used = true, .watch = {.fd = -1}, .asker = *asker, .question = *question, .answer = answer, .message = message, .length = length + 2};
  q->asked_id = (uint16_t)(m[0] << 8 | m[1]);
  query_ask(q);
}

void dns_forget_client(const struct dns_client *client) {
  for (size_t i = 0; i < QUERIES; i++) {
    if (queries[i].used && queries[i].asker.client == client) {
      query_close(&queries[i]);
    }
  }
}
