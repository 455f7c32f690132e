#include "lib/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/host_test.h"

void console_say(const char *format, ...) {
  char line[1024];
  va_list list;
  va_start(list, format);
  int n = vsnprintf(line, sizeof line - 1, format, list);
  va_end(list);
  n = n < 0 ? 0 : n < (int)sizeof line - 1 ? n : (int)sizeof line - 2;
  line[n++] = '\n';
  int fd = host_test ? 2 : open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (fd >= 0) {
    if (write(fd, line, (size_t)n) < 0) {
      errno = 0;
    }
    if (!host_test) {
      close(fd);
    }
  }
}
