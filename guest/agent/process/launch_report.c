#include "process/launch_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

_Noreturn void launch_fail(int fd, int status, const char *format, ...) {
  char report[1024];
  va_list list;
  put16((uint8_t *)report, (uint16_t)status);
  va_start(list, format);
  int n = vsnprintf(report + 2, sizeof report - 2, format, list);
  va_end(list);
  size_t length = 2 + (n < 0 ? 0 : (size_t)n < sizeof report - 2 ? (size_t)n : sizeof report - 3);
  _exit(write(fd, report, length) < 0 ? 125 : status & 255);
}
