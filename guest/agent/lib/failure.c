#include "lib/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct failure *kept;

void keep_failure(struct failure *failure) {
  kept = failure;
  if (kept != NULL) {
    *kept = (struct failure){.reason = REASON_MACHINE};
  }
}

/* On stderr: the text, a NUL, the reason. Anything else that is printed there is text. */
int fail(unsigned reason, const char *format, ...) {
  char text[2048], *said = kept != NULL ? kept->text : text;
  size_t room = kept != NULL ? sizeof kept->text : sizeof text - 2;
  va_list list;
  va_start(list, format);
  int n = vsnprintf(said, room, format, list);
  va_end(list);
  if (kept != NULL) {
    kept->reason = (uint16_t)reason;
    return -1;
  }
  size_t length = n < 0 ? 0 : strnlen(said, room);
  said[length] = 0, said[length + 1] = (char)reason;
  if (write(2, said, length + 2) < 0) {
    errno = 0;
  }
  return -1;
}

uint16_t read_failure(char *report, size_t *length) {
  uint16_t reason = REASON_MACHINE;
  size_t kept_length = 0;
  for (size_t i = 0; i < *length; i++) {
    if (report[i] != 0) {
      report[kept_length++] = report[i];
    } else if (i + 1 < *length) {
      reason = (uint8_t)report[++i];
    }
  }
  while (kept_length > 0 && report[kept_length - 1] == '\n') {
    kept_length--;
  }
  report[kept_length] = 0;
  *length = kept_length;
  return reason;
}

unsigned path_reason(int error, unsigned other) { return error == ENOENT || error == ENOTDIR ? REASON_NOT_FOUND : other; }
