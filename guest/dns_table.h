#ifndef DNS_TABLE_H
#define DNS_TABLE_H

#include "dns_message.h"
#include "kestrel.h"

/* Suffixes that belong to the stack: names below them are never asked upstream. */
void dns_set_suffixes(const struct strings *search);
/* Answers from the table in place and gives the length; 0 when the question is for an upstream. */
size_t dns_answer_here(uint8_t *message, const struct dns_question *q, size_t size, bool has_upstream);

#endif
