#include "core/accept_hosts.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/loop.h"
#include "link/host_link.h"

static void on_accept(struct watch *watch, uint32_t events) {
  (void)events;
  int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) {
    link_use(fd, true);
  }
}

void accept_hosts(int listener) {
  static struct watch watch;
  watch = (struct watch){listener, on_accept};
  loop_watch(&watch, EPOLLIN);
}
