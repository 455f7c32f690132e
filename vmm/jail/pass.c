/* Passes a descriptor to QEMU's monitor: Node can send none over a unix socket. */
#include "fence.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { MONITOR = 3, PASSED = 4 };

/* One command of QMP, with the descriptor beside it; QEMU's answer comes to whoever reads the monitor. */
int pass_descriptor(const char *command) {
  char text[512];
  int length = snprintf(text, sizeof text, "%s\n", command);
  union {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec part = {.iov_base = text, .iov_len = (size_t)length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  if (length < 0 || (size_t)length >= sizeof text) {
    refuse("the command is too long");
  }
  memset(&control, 0, sizeof control);
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(head), &(int){PASSED}, sizeof(int));
  if (sendmsg(MONITOR, &message, MSG_NOSIGNAL) != length) {
    refuse("the monitor does not take a descriptor: %s", strerror(errno));
  }
  return 0;
}
