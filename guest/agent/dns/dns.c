#include "dns/dns.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/dns_client.h"
#include "dns/dns_query.h"
#include "dns/dns_table.h"
#include "lib/host_test.h"
#include "lib/loop.h"

enum { PLAIN_UDP_SIZE = 512, EDNS_UDP_SIZE = 1232, DATAGRAMS_A_ROUND = 64 };

static struct watch udp = {.fd = -1};

void dns_configure(const struct strings *search, const struct strings *upstreams) {
  dns_set_suffixes(search);
  dns_set_upstreams(upstreams);
}

static void answer(const struct dns_asker *asker, uint8_t *message, size_t length) {
  if (asker->client != NULL) {
    dns_client_answer(asker->client, message, length);
  } else {
    sendto(udp.fd, message, length, MSG_DONTWAIT, (const struct sockaddr *)&asker->from, sizeof asker->from);
  }
}

static void on_question(const struct dns_asker *asker, uint8_t *message, size_t length, size_t size) {
  struct dns_question question;
  if (!dns_parse(message, length, &question)) {
    return;
  }
  size_t found = dns_answer_here(message, &question, size, dns_has_upstreams());
  if (found > 0) {
    answer(asker, message, found);
  } else {
    dns_forward(asker, &question, message, length, answer);
  }
}

static void on_udp(struct watch *watch, uint32_t events) {
  static uint8_t message[DNS_MAX];
  (void)events;
  for (int i = 0; i < DATAGRAMS_A_ROUND; i++) {
    struct dns_asker asker = {0};
    socklen_t size = sizeof asker.from;
    ssize_t n = recvfrom(watch->fd, message, sizeof message, MSG_DONTWAIT, (struct sockaddr *)&asker.from, &size);
    if (n < 0) {
      return;
    }
    /* Without EDNS a resolver takes 512 bytes (RFC 1035); glibc and musl take more when they say so. */
    on_question(&asker, message, (size_t)n, message[11] == 1 ? EDNS_UDP_SIZE : PLAIN_UDP_SIZE);
  }
}

static void on_client_question(struct dns_client *client, uint8_t *message, size_t length) {
  const struct dns_asker asker = {.client = client};
  on_question(&asker, message, length, DNS_MAX);
}

static int bind_socket(int type) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(53)};
  int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
  inet_pton(AF_INET, "127.0.0.11", &at.sin_addr);
  if (type == SOCK_STREAM) {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  }
  if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

const char *dns_start(void) {
  static const struct dns_client_handlers handlers = {on_client_question, dns_forget_client};
  if (host_test || udp.fd >= 0) {
    return NULL;
  }
  int tcp = bind_socket(SOCK_STREAM);
  udp = (struct watch){bind_socket(SOCK_DGRAM), on_udp};
  if (udp.fd >= 0 && tcp >= 0 && loop_watch(&udp, EPOLLIN) && dns_clients_listen(tcp, &handlers)) {
    return NULL;
  }
  watch_close(&udp);
  if (tcp >= 0) {
    close(tcp);
  }
  return "the resolver on 127.0.0.11:53 could not be started";
}
