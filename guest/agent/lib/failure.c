#include "lib/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static char *kept;
static size_t kept_size;

void keep_failure(char *text, size_t size) {
  kept = text, kept_size = size;
  if (size > 0) {
    text[0] = 0;
  }
}

int fail(const char *format, ...) {
  char text[2048];
  va_list list;
  va_start(list, format);
  int n = vsnprintf(text, sizeof text, format, list);
  va_end(list);
  if (kept_size > 0) {
    snprintf(kept, kept_size, "%s", text);
    return -1;
  }
  if (write(2, text, n < 0 ? 0 : n < (int)sizeof text ? (size_t)n : sizeof text - 1) < 0) {
    errno = 0;
  }
  return -1;
}
