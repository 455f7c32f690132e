/* Resolvers that ask over TCP: one question at a time on each connection. */
#ifndef DNS_CLIENT_H
#define DNS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dns_client;
struct dns_client_handlers {
  /* A question, in a buffer of DNS_MAX bytes. */
  void (*asked)(struct dns_client *client, uint8_t *message, size_t length);
  /* It is gone: nothing must be answered any more. */
  void (*gone)(const struct dns_client *client);
};

/* Listens on an address that is bound already; false when that fails. */
bool dns_clients_listen(int fd, const struct dns_client_handlers *handlers);
void dns_client_answer(struct dns_client *client, const uint8_t *message, size_t length);

#endif
