/* Questions for the upstreams, which are asked one after the other: over UDP or, when the question came by TCP, over TCP. */
#ifndef DNS_QUERY_H
#define DNS_QUERY_H

#include <netinet/in.h>

#include "dns/dns_message.h"
#include "lib/arena.h"

struct dns_client;
/* Who asked: a client over TCP, or whoever is behind an address. */
struct dns_asker {
  struct sockaddr_in from;
  struct dns_client *client;
};

typedef void dns_answer_fn(const struct dns_asker *asker, uint8_t *message, size_t length);

void dns_set_upstreams(const struct strings *addresses);
bool dns_has_upstreams(void);
/* Asks; `answer` hears of it later. What there is no room for is not answered, and asked again by its client. */
void dns_forward(const struct dns_asker *asker, const struct dns_question *question, const uint8_t *message, size_t length, dns_answer_fn *answer);
/* Nobody waits for what this client asked. */
void dns_forget_client(const struct dns_client *client);

#endif
