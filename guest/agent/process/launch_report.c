#include "process/launch_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

_Noreturn void launch_fail(int fd, int status, int reason, const char *format, ...) {
  char report[1024];
  va_list list;
  put16((uint8_t *)report, (uint16_t)status), put16((uint8_t *)report + 2, (uint16_t)reason);
  va_start(list, format);
  int n = vsnprintf(report + LAUNCH_HEAD, sizeof report - LAUNCH_HEAD, format, list);
  va_end(list);
  size_t room = sizeof report - LAUNCH_HEAD;
  size_t length = LAUNCH_HEAD + (n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1);
  _exit(write(fd, report, length) < 0 ? 125 : status & 255);
}
