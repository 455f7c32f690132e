/* DNS messages (RFC 1035), as far as a stub needs them. Pure; fuzzed. */
#ifndef DNS_MESSAGE_H
#define DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DNS_A = 1, DNS_PTR = 12, DNS_AAAA = 28, DNS_ANY = 255, DNS_NXDOMAIN = 3, DNS_SERVFAIL = 2, DNS_REFUSED = 5, DNS_MAX = 65535 };

struct dns_question {
  /* Lower-case, without the final dot. */
  char name[256];
  uint16_t type, class;
  /* Where the question section ends. */
  size_t end;
};

/* Reads the one question of a query; false for anything else. */
bool dns_parse(const uint8_t *message, size_t length, struct dns_question *out);
/* Turns the query in `message` into an empty answer with this code; gives its length. */
size_t dns_reply(uint8_t *message, const struct dns_question *q, int code);
/* Appends an address record (ttl in seconds) if `size` allows; gives the new length. */
size_t dns_add_a(uint8_t *message, size_t length, size_t size, const uint8_t address[4]);
size_t dns_add_aaaa(uint8_t *message, size_t length, size_t size, const uint8_t address[16]);
size_t dns_add_ptr(uint8_t *message, size_t length, size_t size, const char *name);
/* The address asked for by an in-addr.arpa name. */
bool dns_reverse(const char *name, uint8_t address[4]);

#endif
