/* Why something failed: a reason for programs (REASON_…) and words for people. Of a job this becomes the refusal. */
#ifndef FAILURE_H
#define FAILURE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/protocol.h"

struct failure {
  uint16_t reason;
  char text[1024];
};

/* Always -1. Who fails because something else did may say so as well: the texts are joined, the last reason counts. */
int fail(unsigned reason, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Outside of a job fail() writes to `kept`, until this is called again with NULL. */
void keep_failure(struct failure *kept);
/* What a job has said by fail(), as it came from its stderr: becomes the text alone. Gives the reason, REASON_MACHINE if
 * it died without one. */
uint16_t read_failure(char *report, size_t *length);
/* REASON_NOT_FOUND where the error means that there is no such path, else the other reason. */
unsigned path_reason(int error, unsigned other);

#endif
