/* find_disk as a program, in a world of files: says where it found the disk and what opening that gives. Events of the
 * kernel are lines on standard input. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/loop.h"
#include "devices/disks.h"
#include "devices/uevents.h"

uint64_t now_ms(void) { return 0; }

int open_uevents(void) {
  puts("listens");
  fflush(stdout);
  return dup(0);
}

bool await_uevent(int fd, int ms) {
  char byte;
  printf("waits %d\n", ms);
  fflush(stdout);
  return read(fd, &byte, 1) == 1;
}

int main(int argc, char **argv) {
  char path[64];
  if (argc != 2 || !find_disk(argv[1], path, sizeof path)) {
    puts("missing");
    return 1;
  }
  int fd = open(path, O_RDONLY);
  printf("found %s %s\n", path, fd >= 0 ? "open" : strerror(errno));
  return 0;
}
