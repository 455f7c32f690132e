/* Why something failed, in words for the user: what a job prints on stderr becomes the text of the refusal. */
#ifndef FAILURE_H
#define FAILURE_H

#include <stddef.h>

/* Always -1. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Outside of a job fail() writes into `text` instead, until this is called again with NULL. */
void keep_failure(char *text, size_t size);

#endif
