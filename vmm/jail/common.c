#include "fence.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

void refuse(const char *format, ...) {
  va_list list;
  va_start(list, format);
  fputs("fence: ", stderr);
  vfprintf(stderr, format, list);
  fputc('\n', stderr);
  va_end(list);
  exit(EX_REFUSED);
}

/* Kernels before 5.9 have no close_range: one by one there. */
void close_from(unsigned first) {
  if (syscall(NR_CLOSE_RANGE, first, ~0U, 0) == 0) {
    return;
  }
  struct rlimit limit = {65536, 65536};
  getrlimit(RLIMIT_NOFILE, &limit);
  for (unsigned fd = first; fd < (limit.rlim_cur < 1048576 ? limit.rlim_cur : 1048576); fd++) {
    close((int)fd);
  }
}

static int make_socket(const char *path, struct sockaddr_un *address) {
  if (strlen(path) >= sizeof address->sun_path) {
    refuse("the path %s is too long for a socket", path);
  }
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  strcpy(address->sun_path, path);
  return socket(AF_UNIX, SOCK_STREAM, 0);
}

static void put_at(int fd, int place, const char *path) {
  if (fd != place && (dup2(fd, place) < 0 || close(fd) != 0)) {
    refuse("%s: %s", path, strerror(errno));
  }
}

void listen_at(const char *path, int place) {
  struct sockaddr_un address;
  int fd = make_socket(path, &address);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0) {
    refuse("%s: %s", path, strerror(errno));
  }
  put_at(fd, place, path);
}

void connect_to(const char *path, int place) {
  struct sockaddr_un address;
  int fd = make_socket(path, &address);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    refuse("%s: %s", path, strerror(errno));
  }
  put_at(fd, place, path);
}

void give_up_gaining(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    refuse("cannot give up gaining privileges: %s", strerror(errno));
  }
}

void drop_capabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {{0}};
  if (syscall(SYS_capget, &header, data) != 0) {
    refuse("capabilities: %s", strerror(errno));
  }
  if ((data[0].permitted | data[1].permitted) == 0) {
    return;
  }
  for (int capability = 0; capability < 64; capability++) {
    prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  /* Without this an exec by user 0 would give all of them back. Who may not set it could not get them anyway. */
  if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED, 0, 0, 0) != 0 &&
      geteuid() == 0) {
    refuse("capabilities of user 0 cannot be given up: %s", strerror(errno));
  }
  header = (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
  memset(data, 0, sizeof data);
  if (syscall(SYS_capset, &header, data) != 0) {
    refuse("capabilities: %s", strerror(errno));
  }
}
