#include "process/std_streams.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "lib/host_test.h"
#include "lib/paths.h"

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

bool std_streams_pipes(struct std_streams *s, bool in, bool out) {
  bool ok = true;
  if (in) {
    ok = make_pipe(&s->child[0], &s->parent[0], false);
  } else {
    s->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
  if (out) {
    ok = ok && make_pipe(&s->parent[1], &s->child[1], true);
  } else {
    s->child[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
  }
  return ok && make_pipe(&s->parent[2], &s->child[2], true);
}

bool std_streams_pty(struct std_streams *s, const struct process_spec *spec, int *pty) {
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
  s->child[0] = slave;
  s->child[1] = fcntl(slave, F_DUPFD_CLOEXEC, 0), s->child[2] = fcntl(slave, F_DUPFD_CLOEXEC, 0);
  s->parent[0] = fcntl(*pty, F_DUPFD_CLOEXEC, 0), s->parent[1] = fcntl(*pty, F_DUPFD_CLOEXEC, 0);
  return slave >= 0;
}

void std_streams_close(int fds[3]) {
  for (int i = 0; i < 3; i++) {
    if (fds[i] >= 0) {
      close(fds[i]);
    }
    fds[i] = -1;
  }
}
