#include "lib/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int make_dirs(const char *path, unsigned mode) {
  char part[4096];
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof part) {
    errno = ENAMETOOLONG;
    return -1;
  }
  for (size_t i = 1; i <= length; i++) {
    if (path[i] == '/' || path[i] == 0) {
      memcpy(part, path, i);
      part[i] = 0;
      if (mkdir(part, mode) != 0 && errno != EEXIST) {
        return -1;
      }
    }
  }
  struct stat st;
  if (stat(path, &st) != 0) {
    return -1;
  }
  errno = ENOTDIR;
  return S_ISDIR(st.st_mode) ? 0 : -1;
}

int write_file(const char *path, const void *data, size_t length, unsigned mode) {
  int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | (mode == 0 ? 0 : O_CREAT | O_TRUNC), mode);
  if (fd < 0) {
    return -1;
  }
  const char *at = data;
  int result = 0;
  while (result == 0 && length > 0) {
    ssize_t n = write(fd, at, length);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    result = n < 0 ? -1 : 0;
    at += n < 0 ? 0 : n, length -= n < 0 ? 0 : (size_t)n;
  }
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

long read_small_file(const char *path, char *out, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  size_t length = 0;
  ssize_t n = fd < 0 ? -1 : 0;
  while (fd >= 0 && length < size - 1 && (n = read(fd, out + length, size - 1 - length)) > 0) {
    length += (size_t)n;
  }
  if (fd >= 0) {
    close(fd);
  }
  out[length] = 0;
  return n < 0 && length == 0 ? -1 : (long)length;
}

void append_line(const char *file, const char *text, size_t length) {
  char line[4098];
  int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  int n = snprintf(line, sizeof line, "%.*s\n", (int)length, text);
  if (fd >= 0) {
    if (write(fd, line, (size_t)n) < 0) {
      errno = 0;
    }
    close(fd);
  }
}
