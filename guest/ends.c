#include "ends.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "kestrel.h"

static bool make_pipe(int *reader, int *writer, bool parent_reads) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) {
    return false;
  }
  int parent = parent_reads ? fds[0] : fds[1];
  fcntl(parent, F_SETFL, O_NONBLOCK);
  *reader = fds[0], *writer = fds[1];
  return true;
}

bool ends_pipes(struct ends *e, bool in, bool out) {
  bool ok = true;
  if (in) {
    ok = make_pipe(&e->child[0], &e->parent[0], false);
  } else {
    e->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
  if (out) {
    ok = ok && make_pipe(&e->parent[1], &e->child[1], true);
  } else {
    e->child[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
  }
  return ok && make_pipe(&e->parent[2], &e->child[2], true);
}

bool ends_pty(struct ends *e, const struct process_spec *spec, int *pty) {
  struct winsize size = {.ws_row = (unsigned short)spec->rows, .ws_col = (unsigned short)spec->columns};
  int unlock = 0;
  *pty = open(host_test ? "/dev/ptmx" : SYSROOT "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (*pty < 0 || ioctl(*pty, TIOCSPTLCK, &unlock) != 0) {
    return false;
  }
  int slave = ioctl(*pty, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (spec->rows != 0 && spec->columns != 0) {
    ioctl(*pty, TIOCSWINSZ, &size);
  }
  e->child[0] = slave;
  e->child[1] = fcntl(slave, F_DUPFD_CLOEXEC, 0), e->child[2] = fcntl(slave, F_DUPFD_CLOEXEC, 0);
  e->parent[0] = fcntl(*pty, F_DUPFD_CLOEXEC, 0), e->parent[1] = fcntl(*pty, F_DUPFD_CLOEXEC, 0);
  return slave >= 0;
}

void ends_close(int ends[3]) {
  for (int i = 0; i < 3; i++) {
    if (ends[i] >= 0) {
      close(ends[i]);
    }
    ends[i] = -1;
  }
}
