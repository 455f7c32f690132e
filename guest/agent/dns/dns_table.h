/* The names of the stack and what the resolver answers from them. */
#ifndef DNS_TABLE_H
#define DNS_TABLE_H

#include "dns/dns_message.h"
#include "lib/arena.h"

struct dns_name {
  const char *name;
  uint8_t (*addresses)[4];
  size_t count;
  uint8_t (*addresses6)[16];
  size_t count6;
};

/* Replaces all names; copies what it keeps. */
void dns_set_names(const struct dns_name *names, size_t count);
/* Suffixes that belong to the stack: names below them are never asked upstream. */
void dns_set_suffixes(const struct strings *search);
/* Answers from the table in place and gives the length; 0 when the question is for an upstream. */
size_t dns_answer_here(uint8_t *message, const struct dns_question *q, size_t size, bool has_upstream);

#endif
