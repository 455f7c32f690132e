#include "share/borrow.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "lib/failure.h"
#include "lib/files.h"
#include "lib/paths.h"
#include "share/call.h"

/* Where mount_volumes looks for the shares that are there already. */
static int mount_borrowed(const char *tag) {
  char target[512], options[128];
  if (strchr(tag, '/') != NULL || tag[0] == '.' || tag[0] == 0) {
    return fail(REASON_MALFORMED, "the name of a volume holds a slash");
  }
  int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  snprintf(target, sizeof target, PRIVATE "/share/%.200s", tag);
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other", fuse);
  if (fuse < 0 || make_dirs(target, 0755) != 0 || mount("volume", target, "fuse", MS_NODEV, options) != 0) {
    return fail(REASON_MACHINE, "mounting a volume of another machine: %s", strerror(errno));
  }
  return fuse;
}

static bool put_all(int fd, const uint8_t *bytes, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t n = write(fd, bytes + at, length - at);
    if (n < 0 && errno != EINTR) {
      return false;
    }
    at += n > 0 ? (size_t)n : 0;
  }
  return true;
}

/* Ends when nothing is mounted any more, or nobody takes the requests. */
static void carry_requests(int fuse, int out) {
  static uint8_t bytes[2 * MAX_MESSAGE];
  for (;;) {
    ssize_t n = read(fuse, bytes, sizeof bytes);
    if (n > 0 && !put_all(out, bytes, (size_t)n)) {
      return;
    }
    if (n < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT) {
      return;
    }
  }
}

/* One answer to the kernel in one write. It refuses those to a request that was given up meanwhile: nobody waits for them.
 * Messages without a request (unique 0) could put bytes into its caches, which nobody needs. */
static bool put_answer(int fuse, const uint8_t *bytes, size_t length) {
  struct fuse_out_header head;
  memcpy(&head, bytes, sizeof head);
  return head.unique == 0 || write(fuse, bytes, length) == (ssize_t)length || errno == ENOENT || errno == EINTR;
}

static int carry_answers(int fuse, int in) {
  static uint8_t bytes[2 * MAX_MESSAGE];
  size_t have = 0;
  for (;;) {
    ssize_t n = read(in, bytes + have, sizeof bytes - have);
    if (n == 0 || (n < 0 && errno != EINTR)) {
      return fail(REASON_MACHINE, "the volume is gone: the machine that has it ended");
    }
    have += n > 0 ? (size_t)n : 0;
    size_t at = 0;
    uint32_t size = 0;
    while (have - at >= sizeof size) {
      memcpy(&size, bytes + at, sizeof size);
      if (size < sizeof(struct fuse_out_header) || size > MAX_MESSAGE) {
        return fail(REASON_MALFORMED, "the machine that has the volume does not speak its protocol");
      }
      if (have - at < size) {
        break;
      }
      if (!put_answer(fuse, bytes + at, size)) {
        return fail(REASON_MACHINE, "an answer of the machine that has the volume was refused: %s", strerror(errno));
      }
      at += size;
    }
    have -= at;
    memmove(bytes, bytes + at, have);
  }
}

static void on_end(int signal) {
  (void)signal;
  _exit(1);
}

int borrow_volume(int in, int out, const char *tag) {
  int fuse = mount_borrowed(tag);
  if (fuse < 0) {
    return -1;
  }
  /* Two processes, so that answers are always taken, however many requests wait for room. */
  signal(SIGCHLD, on_end);
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(in);
    carry_requests(fuse, out);
    _exit(1);
  }
  close(out);
  int result = pid < 0 ? fail(REASON_RESOURCES, "the guest is out of memory") : carry_answers(fuse, in);
  signal(SIGCHLD, SIG_DFL);
  if (pid > 0) {
    kill(pid, SIGKILL);
  }
  return result;
}
