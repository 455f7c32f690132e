#include "setup/show_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/failure.h"
#include "lib/fork.h"
#include "lib/paths.h"
#include "setup/bind.h"

/* In a fork: whoever enters the view stays in it. */
static int show_in_view(int tree, int mnt_ns, const char *target) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    _exit(move_into(tree, mnt_ns, target) == 0 ? 0 : 1);
  }
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

int show_socket(const char *socket, const char *target, pid_t viewer) {
  int ns = viewer > 0 ? open_ns(viewer, "mnt") : -1;
  int tree = ns < 0 ? -1 : (int)syscall(SYS_open_tree, AT_FDCWD, socket, 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);
  int source = open(socket, O_PATH | O_CLOEXEC), root = open(SYSROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int result = source < 0 || root < 0 ? fail(REASON_MOUNT, "%s: %s", target, strerror(errno)) : bind_at(root, target, false, source);
  result = result == 0 && tree >= 0 ? show_in_view(tree, ns, target) : result;
  const int fds[] = {ns, tree, source, root};
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
    if (fds[i] >= 0) {
      close(fds[i]);
    }
  }
  return result;
}
