#include "devices/uevents.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>

enum { KERNEL_GROUP = 1, MAX_UEVENT = 8192 };

int open_uevents(void) {
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
  int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
  if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

/* What the messages say does not matter, nor whether some were lost (ENOBUFS): the caller looks again. */
bool await_uevent(int fd, int ms) {
  static char message[MAX_UEVENT];
  struct pollfd watched = {.fd = fd, .events = POLLIN};
  int ready;
  do {
    ready = poll(&watched, 1, ms);
  } while (ready < 0 && errno == EINTR);
  while (ready > 0 && recv(fd, message, sizeof message, 0) >= 0) {
  }
  return ready > 0;
}
