/*
 * What code that has taken over QEMU would try, run in QEMU's place in QEMU's fence. A line for each: `NAME refused` or `NAME done`.
 *
 *   attacker SECRET DISK SOCKET ABSTRACT PORT PID OWN-DISK FOLDER
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static void on_refused(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = -EPERM;
}

static void tell(const char *name, int done) {
  printf("%s %s\n", name, done ? "done" : "refused");
  fflush(stdout);
}

static int can_open(const char *path, int flags) {
  int fd = open(path, flags, 0600);
  if (fd >= 0) {
    close(fd);
  }
  return fd >= 0;
}

static int can_make(int family, int type, int protocol) {
  int fd = socket(family, type, protocol);
  if (fd >= 0) {
    close(fd);
  }
  return fd >= 0;
}

static int can_reach(const char *path, size_t length) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  memcpy(address.sun_path, path, length);
  int done = connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) == 0;
  close(fd);
  return done;
}

/* A datagram may name another address than the other end of its pair. */
static int can_make_pair(int type) {
  int ends[2];
  int done = socketpair(AF_UNIX, type, 0, ends) == 0;
  if (done) {
    close(ends[0]);
    close(ends[1]);
  }
  return done;
}

static int can_connect(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  int done = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
  close(fd);
  return done;
}

static int can_send(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  int done = sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address) == 1;
  close(fd);
  return done;
}

static int can_fork(void) {
  pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, NULL, NULL, 0);
  if (pid == 0) {
    _exit(0);
  }
  return pid > 0 && waitpid(pid, NULL, 0) == pid;
}

static int can_peek(pid_t pid) {
  char byte;
  struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
  return process_vm_readv(pid, &here, 1, &there, 1, 0) == 1 || errno == EFAULT;
}

static int can_trace(pid_t pid) {
  int done = ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
  if (done) {
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
  }
  return done;
}

static int can_read_process(pid_t pid, const char *file) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
  return can_open(path, O_RDONLY);
}

/* Where the other process has its root: the whole file system. */
static const char *root_of(pid_t pid) {
  static char path[64];
  snprintf(path, sizeof path, "/proc/%d/root", (int)pid);
  return path;
}

static int can_open_below(const char *root, const char *path) {
  char full[4096];
  snprintf(full, sizeof full, "%s%s", root, path);
  return can_open(full, O_RDONLY);
}

int main(int argc, char **argv) {
  if (argc < 9) {
    return 64;
  }
  const char *secret = argv[1], *disk = argv[2], *peer = argv[3], *own = argv[7], *folder = argv[8];
  int port = atoi(argv[5]);
  pid_t pid = atoi(argv[6]);
  char abstract[100] = {0}, made[4096], other[4096];
  struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSYS, &action, NULL);
  strcpy(abstract + 1, argv[4]);
  snprintf(made, sizeof made, "%s/made", folder);
  snprintf(other, sizeof other, "%s/other", folder);

  tell("own-disk", can_open(own, O_RDWR));
  tell("read-secret", can_open(secret, O_RDONLY));
  tell("write-secret", can_open(secret, O_WRONLY));
  tell("read-passwd", can_open("/etc/passwd", O_RDONLY));
  tell("list-home", can_open(getenv("HOME") == NULL ? "/root" : getenv("HOME"), O_RDONLY | O_DIRECTORY));
  tell("read-disk-of-others", can_open(disk, O_RDONLY));
  tell("write-disk-of-others", can_open(disk, O_RDWR));
  tell("make-file", can_open(made, O_WRONLY | O_CREAT));
  tell("make-folder", mkdir(other, 0700) == 0);
  tell("link", link(own, other) == 0);
  tell("symlink", symlink("/etc/passwd", made) == 0);
  tell("rename", rename(own, other) == 0);
  tell("change-mode", chmod(own, 04755) == 0);
  tell("socket-of-others", can_reach(peer, strlen(peer) + 1));
  tell("abstract-socket", can_reach(abstract, 1 + strlen(abstract + 1)));
  tell("datagram-pair", can_make_pair(SOCK_DGRAM));
  tell("raw-pair", can_make_pair(SOCK_RAW));
  tell("packet-pair", can_make_pair(SOCK_SEQPACKET));
  tell("owner-of-signals", fcntl(0, F_SETOWN, pid) == 0);
  tell("owner-of-signals-by-ioctl", ioctl(0, 0x8901 /* FIOSETOWN */, &pid) == 0);
  tell("tcp", can_connect(port));
  tell("udp", can_send(port));
  tell("inet6", can_make(AF_INET6, SOCK_STREAM, 0));
  tell("netlink", can_make(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
  tell("packet", can_make(AF_PACKET, SOCK_RAW, 0));
  tell("vsock", can_make(AF_VSOCK, SOCK_STREAM, 0));
  tell("signal", kill(pid, 0) == 0);
  tell("signal-thread", syscall(SYS_tgkill, pid, pid, 0) == 0);
  tell("trace", can_trace(pid));
  tell("peek", can_peek(pid));
  tell("memory-of-others", can_read_process(pid, "mem"));
  tell("environment-of-others", can_read_process(pid, "environ"));
  tell("command-of-others", can_read_process(pid, "cmdline"));
  tell("secret-by-own-root", can_open_below("/proc/self/root", secret));
  tell("secret-by-root-of-others", can_open_below(root_of(pid), secret));
  tell("pidfd", syscall(434, pid, 0) >= 0);
  tell("limits-of-others", syscall(SYS_prlimit64, pid, 7, NULL, made) == 0);
  tell("fork", can_fork());
  tell("vfork-flags", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, NULL, NULL, 0) > 0);
  tell("namespaces", unshare(CLONE_NEWUSER) == 0);
  tell("mount", mount("none", folder, "tmpfs", 0, NULL) == 0);
  tell("become-root", setuid(0) == 0);
  tell("bpf", syscall(SYS_bpf, 0, NULL, 0) >= 0);
  tell("perf", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0) >= 0);
  tell("io-uring", syscall(425, 1, made) >= 0);
  tell("userfaultfd", syscall(SYS_userfaultfd, 1) >= 0);
  tell("keys", syscall(SYS_add_key, "user", "k", "v", 1, -3) >= 0);
  tell("other-abi", syscall(SYS_getpid | 0x40000000) > 0);
  char *const none[] = {NULL}, *const nothing[] = {"/bin/true", NULL};
  syscall(SYS_execveat, AT_FDCWD, "/bin/true", nothing, none, 0);
  tell("program-at", 0);
  execve("/bin/true", nothing, none);
  tell("program", 0);
  return 0;
}
