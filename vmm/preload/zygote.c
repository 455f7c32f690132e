/*
 * Preloaded into a QEMU whose guest is stopped: makes copies of that process, one for each order that comes over a
 * channel. A copy shares the guest's memory and all that QEMU has translated of its code, copy-on-write, gets
 * descriptors of its own, and is from then on a machine like any other.
 *
 * Orders come as Node's `child.send` writes them, a line of JSON and with it the descriptor of a network card. The text
 * of an order is in hexadecimal, so that no JSON has to be understood here. Its lines:
 *   name NAME         what lists of processes show instead of this one's name
 *   card FD           the descriptor that came along takes the place of this one
 *   move OLD<TAB>NEW  what is open as OLD, a file or a socket that listens, is opened as NEW
 *   copy OLD<TAB>NEW  the same, and NEW is made of what is in OLD at this moment
 * The answer is {"pid":N} or {"error":"…"}. The end of the channel is the end of this process, not of its copies.
 */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* QEMU's: the main loop's lock, and whether the guest runs. Without them nothing is copied. */
__attribute__((weak)) bool bql_locked(void);
__attribute__((weak)) bool runstate_is_running(void);

enum { ORDER_MAX = 16 << 10, MAX_POLLS = 256 };

static int channel = -1;

/* Nothing is left to be done here, ever: of a copy, once somebody has connected to it. */
static bool settled, is_copy, found;

/* ---- orders ---- */

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

/* The text of a message in its own place; NULL if it is not one. */
static char *decode(char *line) {
  char *at = strstr(line, "\"msg\":\""), *text = at != NULL ? at + 7 : line[0] == '"' ? line + 1 : NULL, *out = text;
  for (char *in = text; in != NULL && *in != '"'; in += 2) {
    int high = hex_digit(in[0]), low = high < 0 ? -1 : hex_digit(in[1]);
    if (low < 0) {
      return NULL;
    }
    *out++ = (char)(high << 4 | low);
  }
  if (out != NULL) {
    *out = 0;
  }
  return text;
}

static bool parse_order(char *text, struct order *order) {
  for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    char *tab = strchr(line, '\t');
    if (strncmp(line, "name ", 5) == 0) {
      order->name = line + 5;
    } else if (strncmp(line, "card ", 5) == 0) {
      order->card_at = atoi(line + 5);
    } else if ((strncmp(line, "move ", 5) == 0 || strncmp(line, "copy ", 5) == 0) && tab != NULL && order->move_count < MAX_MOVES) {
      *tab = 0;
      order->moves[order->move_count++] = (struct move){line + 5, tab + 1, *line == 'c', false};
    } else {
      return false;
    }
  }
  return order->name != NULL && (order->card >= 0) == (order->card_at >= 0);
}

static void answer(const char *format, ...) {
  char line[1024];
  va_list list;
  va_start(list, format);
  int length = vsnprintf(line, sizeof line, format, list);
  va_end(list);
  if (write(channel, line, length < (int)sizeof line ? (size_t)length : sizeof line - 1) < 0) {
    _exit(1);
  }
}

static void carry_out(char *line, int card) {
  struct order order = {.card = card, .card_at = -1};
  char reason[512], *text = decode(line);
  if (card >= 0) {
    answer("{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
  }
  if (text == NULL || !parse_order(text, &order)) {
    answer("{\"error\":\"not an order\"}\n");
  } else if (runstate_is_running == NULL || runstate_is_running()) {
    answer("{\"error\":\"the guest runs\"}\n");
  } else {
    found = false;
    pid_t pid = make_copy(&order, channel, reason, sizeof reason);
    if (pid == 0) {
      channel = -1;
      is_copy = true;
      return;
    }
    for (char *at = reason; *at != 0; at++) {
      *at = *at == '"' || *at == '\\' || (unsigned char)*at < ' ' ? '?' : *at;
    }
    pid < 0 ? answer("{\"error\":\"%s\"}\n", reason) : answer("{\"pid\":%d}\n", (int)pid);
  }
  if (card >= 0) {
    close(card);
  }
}

/* What has come; one order at a time, because the next is sent after the answer. */
static void read_channel(void) {
  static char line[ORDER_MAX];
  static size_t length;
  static int card = -1;
  char control[CMSG_SPACE(sizeof card)];
  struct iovec part = {line + length, sizeof line - 1 - length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
  if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
    memcpy(&card, CMSG_DATA(header), sizeof card);
  }
  if (n <= 0 || part.iov_len == (size_t)n) {
    /* Whom the copies were for is gone, or talks nonsense. */
    _exit(0);
  }
  length += (size_t)n;
  line[length] = 0;
  if (line[length - 1] == '\n') {
    int with = card;
    length = 0, card = -1;
    carry_out(line, with);
  }
}

/* ---- in QEMU's way ---- */

static long poll_by_kernel(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
  struct timespec left = timeout == NULL ? (struct timespec){0, 0} : *timeout;
  return syscall(SYS_ppoll, fds, count, timeout == NULL ? NULL : &left, mask, mask == NULL ? 0 : 8);
}

/* The main loop waits here without its lock, and whatever else waits on its thread has it: the instant for a copy. */
int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
  static struct pollfd all[MAX_POLLS];
  bool main_loop = !settled && bql_locked != NULL && !bql_locked() && syscall(SYS_gettid) == getpid();
  if (main_loop) {
    memory_need();
    settled = channel < 0 && (!is_copy || __atomic_load_n(&found, __ATOMIC_ACQUIRE));
    if (settled && is_copy) {
      copy_outlives();
    }
  }
  if (!main_loop || channel < 0 || count >= MAX_POLLS) {
    return (int)poll_by_kernel(fds, count, timeout, mask);
  }
  memcpy(all, fds, count * sizeof *fds);
  all[count] = (struct pollfd){channel, POLLIN, 0};
  long result = poll_by_kernel(all, count + 1, timeout, mask);
  if (result <= 0) {
    return (int)result;
  }
  bool ordered = all[count].revents != 0;
  memcpy(fds, all, count * sizeof *fds);
  if (ordered && result == 1) {
    read_channel();
  }
  return (int)(result - ordered);
}

static int change_mask(int how, const sigset_t *set, sigset_t *old) {
  sigset_t without;
  if (set != NULL && how != SIG_UNBLOCK) {
    without = *set;
    sigdelset(&without, park_signal());
    set = &without;
  }
  return syscall(SYS_rt_sigprocmask, how, set, old, 8) == 0 ? 0 : errno;
}

/* QEMU's threads block all signals: all but ours. */
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) { return change_mask(how, set, old); }

int sigprocmask(int how, const sigset_t *set, sigset_t *old) {
  int error = change_mask(how, set, old);
  errno = error != 0 ? error : errno;
  return error == 0 ? 0 : -1;
}

/* Of a copy: its owner has found it. */
int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
  __atomic_store_n(&found, true, __ATOMIC_RELEASE);
  return (int)syscall(SYS_accept4, fd, address, length, flags);
}

/* Where QEMU takes an emulated processor's random numbers (RDRAND) from. GnuTLS makes them of a seed, which copies would
 * share: it hears of forks only from the C library's own. */
int gnutls_rnd(int level, void *data, size_t length) {
  (void)level;
  for (size_t done = 0; done < length;) {
    ssize_t n = getrandom((uint8_t *)data + done, length - done, 0);
    if (n < 0 && errno != EINTR) {
      abort();
    }
    done += n > 0 ? (size_t)n : 0;
  }
  return 0;
}

/* QEMU keeps its guest's memory from forks, which never were to have a guest. */
int madvise(void *address, size_t length, int advice) {
  return advice == MADV_DONTFORK && channel >= 0 ? 0 : (int)syscall(SYS_madvise, address, length, advice);
}

__attribute__((constructor)) static void begin(int argc, char **argv) {
  const char *number = getenv("NODE_CHANNEL_FD");
  struct sigaction reap = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
  if (!memory_begin()) {
    _exit(71);
  }
  if (number == NULL) {
    return;
  }
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i - 1], "-name") == 0) {
      name_place(argv[i]);
    }
  }
  channel = atoi(number);
  fcntl(channel, F_SETFD, FD_CLOEXEC);
  if (!threads_begin() || sigaction(SIGCHLD, &reap, NULL) != 0 || !forbid_spawning(true)) {
    _exit(71);
  }
}
