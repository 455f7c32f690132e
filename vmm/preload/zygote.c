/*
 * Preloaded into a QEMU whose guest is stopped (a zygote). It copies that process once for each request on a channel. A copy
 * shares the guest's memory and the code that QEMU has translated, copy-on-write. It gets its own descriptors and is then
 * an ordinary machine.
 *
 * Requests come as Node's `child.send` writes them: a line of JSON together with the descriptor of a NIC. The text of a
 * request is in hexadecimal, so that no JSON has to be parsed here. Its lines:
 *   name NAME         the name that process lists show for the copy
 *   nic FD            the descriptor that came with the request replaces this one
 *   move OLD<TAB>NEW  the file or listening socket that is open as OLD is opened as NEW
 *   copy OLD<TAB>NEW  the same, and NEW begins with the current content of OLD
 *   read PATH         the copy may open what is beneath PATH to read it; beside this and `write` it can open nothing
 *   write PATH        the same, to write it
 * The answer is {"pid":N} or {"error":"…"}. When the channel closes, this process ends; its copies go on.
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

/* Symbols of QEMU: the main loop's lock, and whether the guest runs. Without them nothing is copied. */
__attribute__((weak)) bool bql_locked(void);
__attribute__((weak)) bool runstate_is_running(void);

enum { REQUEST_MAX = 16 << 10, MAX_POLLS = 256 };

static int channel = -1;

/* `settled`: this library has nothing left to do in this process. For a copy that is when its owner has connected. */
static bool settled, is_copy, found;

/* ---- requests ---- */

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

/* Decodes the text of a message in place; NULL if the line is not a message. */
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

static bool parse_request(char *text, struct request *request) {
  for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    char *tab = strchr(line, '\t');
    if (strncmp(line, "name ", 5) == 0) {
      request->name = line + 5;
    } else if (strncmp(line, "nic ", 4) == 0) {
      request->nic_at = atoi(line + 4);
    } else if ((strncmp(line, "move ", 5) == 0 || strncmp(line, "copy ", 5) == 0) && tab != NULL && request->move_count < MAX_MOVES) {
      *tab = 0;
      request->moves[request->move_count++] = (struct move){line + 5, tab + 1, *line == 'c', false};
    } else if (strncmp(line, "read ", 5) == 0 && request->right_count < MAX_RIGHTS) {
      request->rights[request->right_count++] = (struct right){line + 5, false};
    } else if (strncmp(line, "write ", 6) == 0 && request->right_count < MAX_RIGHTS) {
      request->rights[request->right_count++] = (struct right){line + 6, true};
    } else {
      return false;
    }
  }
  return request->name != NULL && (request->nic >= 0) == (request->nic_at >= 0);
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

static void handle_request(char *line, int nic) {
  struct request request = {.nic = nic, .nic_at = -1};
  char reason[512], *text = decode(line);
  if (nic >= 0) {
    answer("{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
  }
  if (text == NULL || !parse_request(text, &request)) {
    answer("{\"error\":\"not a request\"}\n");
  } else if (runstate_is_running == NULL || runstate_is_running()) {
    answer("{\"error\":\"the guest runs\"}\n");
  } else {
    found = false;
    pid_t pid = make_copy(&request, channel, reason, sizeof reason);
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
  if (nic >= 0) {
    close(nic);
  }
}

/* Reads from the channel. There is one request at a time, because the next is sent only after the answer. */
static void read_channel(void) {
  static char line[REQUEST_MAX];
  static size_t length;
  static int nic = -1;
  char control[CMSG_SPACE(sizeof nic)];
  struct iovec part = {line + length, sizeof line - 1 - length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
  if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
    memcpy(&nic, CMSG_DATA(header), sizeof nic);
  }
  if (n <= 0 || part.iov_len == (size_t)n) {
    /* The owner has disconnected, or sent something that is not a request. */
    _exit(0);
  }
  length += (size_t)n;
  line[length] = 0;
  if (line[length - 1] == '\n') {
    int with = nic;
    length = 0, nic = -1;
    handle_request(line, with);
  }
}

/* ---- functions that QEMU calls here instead of in the C library ---- */

static long poll_by_kernel(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
  struct timespec left = timeout == NULL ? (struct timespec){0, 0} : *timeout;
  return syscall(SYS_ppoll, fds, count, timeout == NULL ? NULL : &left, mask, mask == NULL ? 0 : 8);
}

/* The main loop polls without holding its lock; everything else that polls on its thread holds it. So a copy is made here. */
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
  bool requested = all[count].revents != 0;
  memcpy(fds, all, count * sizeof *fds);
  if (requested && result == 1) {
    read_channel();
  }
  return (int)(result - requested);
}

static int change_mask(int how, const sigset_t *set, sigset_t *old) {
  sigset_t without;
  if (set != NULL && how != SIG_UNBLOCK) {
    without = *set;
    sigdelset(&without, park_signal());
    sigdelset(&without, SIGSYS);
    set = &without;
  }
  return syscall(SYS_rt_sigprocmask, how, set, old, 8) == 0 ? 0 : errno;
}

/* QEMU's threads block all signals; the signal that parks them and that of a refused call must not be blocked. */
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) { return change_mask(how, set, old); }

int sigprocmask(int how, const sigset_t *set, sigset_t *old) {
  int error = change_mask(how, set, old);
  errno = error != 0 ? error : errno;
  return error == 0 ? 0 : -1;
}

/* In a copy: its owner has connected. */
int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
  __atomic_store_n(&found, true, __ATOMIC_RELEASE);
  return (int)syscall(SYS_accept4, fd, address, length, flags);
}

/* QEMU gets the random numbers of an emulated processor (RDRAND) here. GnuTLS would derive them from a seed that all copies
 * share, because it only notices forks made by the C library. */
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

/* QEMU excludes its guest's memory from forks (MADV_DONTFORK); a copy needs it. */
int madvise(void *address, size_t length, int advice) {
  return advice == MADV_DONTFORK && channel >= 0 ? 0 : (int)syscall(SYS_madvise, address, length, advice);
}

__attribute__((constructor)) static void begin(int argc, char **argv) {
  const char *number = getenv("NODE_CHANNEL_FD");
  struct sigaction reap = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
  if (!refused_begin() || !memory_begin()) {
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
