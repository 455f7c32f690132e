/*
 * Starts gvproxy so that no guest can use it against the host.
 *
 *   jail --abi
 *   jail --run DIR [--internal] [--no-bind] [--read PATH]... [--status-fd N] -- PROGRAM [ARGUMENT]...
 *
 * gvproxy serves an API to guests (gateway, port 80) with which they can bind host ports and remove host
 * files, and no setting turns it off. So the process is fenced in before exec (which keeps the pid):
 *
 *   Landlock   files: read what Go needs, make sockets in DIR, nothing else; no TCP bind (ABI 4, Linux 6.7)
 *   seccomp    nothing is ever removed or renamed; no MPTCP (Landlock's TCP rule does not cover it);
 *              --no-bind: no bind of an internet address, TCP or UDP, on any kernel;
 *              --internal: no socket but unix ones
 *   namespace  --internal: an empty network of its own, where the kernel lets a plain user have one
 *
 * What was put in place is reported as one line on the status descriptor, which exec closes:
 *   landlock=7 files=1 tcp-bind=1 seccomp=1 bind=0 netns=0
 * or `error=…` when the program was not started (exit code 71).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "jail.c knows x86-64 and aarch64"
#endif

#define EX_REFUSED 71
#define PROTOCOL_MPTCP 262
#define MAX_READS 64

/* Landlock's numbers (linux/landlock.h), spelt out because the headers of older systems lack the later ones. */
#define NR_CREATE_RULESET 444
#define NR_ADD_RULE 445
#define NR_RESTRICT_SELF 446
#define RULE_PATH_BENEATH 1
#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_MAKE_SOCK (1ULL << 9)
#define FS_ALL_ABI1 ((1ULL << 13) - 1)
#define FS_REFER (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_BIND_TCP (1ULL << 0)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define SCOPE_SIGNAL (1ULL << 1)

struct ruleset {
  uint64_t fs;
  uint64_t net;
  uint64_t scoped;
};

struct path_rule {
  uint64_t allowed;
  int32_t parent;
} __attribute__((packed));

struct options {
  const char *run;
  const char *reads[MAX_READS];
  int read_count;
  int internal;
  int no_bind;
  int status;
  char **command;
};

struct applied {
  int abi;
  int files;
  int tcp_bind;
  int seccomp;
  int netns;
  int netns_errno;
};

static int status_fd = 2;

/* One line on the status descriptor; a parent that went away is no reason to fail. */
static void report(const char *format, ...) {
  char line[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(line, sizeof line - 1, format, list);
  va_end(list);
  strcat(line, "\n");
  ssize_t ignored = write(status_fd, line, strlen(line));
  (void)ignored;
}

static int landlock_abi(void) {
  long abi = syscall(NR_CREATE_RULESET, NULL, 0, 1);
  return abi < 0 ? 0 : (int)abi;
}

/* Lets the process use what lies beneath a path; a path that is not there is skipped. */
static int allow(int ruleset, const char *path, uint64_t rights) {
  int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) {
    return 0;
  }
  struct stat info;
  if (fstat(fd, &info) == 0 && !S_ISDIR(info.st_mode)) {
    rights &= FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE;
  }
  struct path_rule rule = {.allowed = rights, .parent = fd};
  int failed = (int)syscall(NR_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0);
  close(fd);
  return failed;
}

/*
 * /etc as a folder and not its files: resolv.conf is replaced by rename when the host roams, and a rule
 * holds for the file that was there when it was made.
 */
static int allow_paths(int ruleset, const struct options *options) {
  static const char *const readable[] = {
      "/etc",         "/run/systemd/resolve", "/run/NetworkManager",      "/run/resolvconf", "/run/connman",
      "/mnt/wsl/resolv.conf", "/usr/share/zoneinfo", "/proc/sys/net", "/proc/self", "/sys/kernel/mm/transparent_hugepage",
      "/sys/devices/system/cpu", "/sys/fs/cgroup", "/dev/null", "/dev/urandom", NULL};
  static const char *const libraries[] = {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/gnu/store", NULL};
  int failed = 0;
  for (int i = 0; readable[i] != NULL; i++) {
    failed |= allow(ruleset, readable[i], FS_READ_FILE | FS_READ_DIR);
  }
  for (int i = 0; libraries[i] != NULL; i++) {
    failed |= allow(ruleset, libraries[i], FS_READ_FILE | FS_READ_DIR | FS_EXECUTE);
  }
  for (int i = 0; i < options->read_count; i++) {
    failed |= allow(ruleset, options->reads[i], FS_READ_FILE | FS_READ_DIR | FS_EXECUTE);
  }
  failed |= allow(ruleset, "/etc/resolv.conf", FS_READ_FILE);
  failed |= allow(ruleset, options->command[0], FS_READ_FILE | FS_EXECUTE);
  failed |= allow(ruleset, "/dev/null", FS_READ_FILE | FS_WRITE_FILE);
  failed |= allow(ruleset, options->run, FS_READ_FILE | FS_READ_DIR | FS_MAKE_SOCK);
  return failed;
}

static void apply_landlock(const struct options *options, struct applied *applied) {
  int abi = landlock_abi();
  applied->abi = abi;
  if (abi < 1) {
    return;
  }
  struct ruleset rules = {.fs = FS_ALL_ABI1};
  rules.fs |= abi >= 2 ? FS_REFER : 0;
  rules.fs |= abi >= 3 ? FS_TRUNCATE : 0;
  rules.fs |= abi >= 5 ? FS_IOCTL_DEV : 0;
  rules.net = abi >= 4 ? NET_BIND_TCP : 0;
  rules.scoped = abi >= 6 ? SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL : 0;
  size_t size = abi >= 6 ? sizeof rules : abi >= 4 ? offsetof(struct ruleset, scoped) : offsetof(struct ruleset, net);
  int ruleset = (int)syscall(NR_CREATE_RULESET, &rules, size, 0);
  if (ruleset < 0) {
    return;
  }
  if (allow_paths(ruleset, options) == 0 && syscall(NR_RESTRICT_SELF, ruleset, 0) == 0) {
    applied->files = 1;
    applied->tcp_bind = abi >= 4;
  }
  close(ruleset);
}

/* A seccomp program under construction. */
struct program {
  struct sock_filter code[256];
  unsigned short size;
};

static void emit(struct program *program, uint16_t code, uint32_t k, uint8_t yes, uint8_t no) {
  if (program->size < sizeof program->code / sizeof program->code[0]) {
    program->code[program->size++] = (struct sock_filter){code, yes, no, k};
  }
}

static void load(struct program *program, size_t offset) {
  emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct program *program, int error) {
  emit(program, BPF_RET | BPF_K, error == 0 ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | (uint32_t)error, 0, 0);
}

/* The loaded value equals `value`: fail with `error`. */
static void refuse_if(struct program *program, uint32_t value, int error) {
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
  answer(program, error);
}

/* Low half of a system call's argument: all those looked at here are ints. */
#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + 8 * (n))

/*
 * Removing answers ENOENT and not EPERM: gvproxy removes what is in the way of a new socket and carries
 * on when there was nothing. So a new name works, and one that is taken stays what it is.
 */
static const int vanishing[] = {
#ifdef SYS_unlink
    SYS_unlink, SYS_rmdir,
#endif
    SYS_unlinkat, -1};

static const int forbidden[] = {
#ifdef SYS_rename
    SYS_rename, SYS_link, SYS_symlink, SYS_mkdir, SYS_mknod, SYS_chmod, SYS_chown, SYS_lchown,
#endif
#ifdef SYS_renameat
    SYS_renameat,
#endif
    SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_mkdirat, SYS_mknodat, SYS_fchmodat, SYS_fchownat, SYS_truncate, SYS_ptrace,
    SYS_process_vm_readv, SYS_process_vm_writev, SYS_bpf, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns,
    SYS_userfaultfd, SYS_perf_event_open, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_open_by_handle_at, SYS_init_module,
    SYS_finit_module, SYS_kexec_load, SYS_execveat, 425 /* io_uring_setup: its requests pass no filter */, 426, 427, -1};

/* socket(domain, type, protocol) */
static void filter_socket(struct program *program, const struct options *options) {
  struct program body = {.size = 0};
  load(&body, ARGUMENT(2));
  refuse_if(&body, PROTOCOL_MPTCP, EPROTONOSUPPORT);
  load(&body, ARGUMENT(0));
  emit(&body, BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 0, 1);
  answer(&body, 0);
  if (!options->internal) {
    static const uint32_t domains[] = {AF_INET, AF_INET6, AF_NETLINK};
    for (size_t i = 0; i < sizeof domains / sizeof domains[0]; i++) {
      emit(&body, BPF_JMP | BPF_JEQ | BPF_K, domains[i], 0, 1);
      answer(&body, 0);
    }
  }
  answer(&body, EACCES);
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, (uint8_t)body.size);
  for (int i = 0; i < body.size; i++) {
    program->code[program->size++] = body.code[i];
  }
}

/*
 * bind(fd, address, length): a filter cannot look at the address, but its length tells: Go passes exactly
 * sizeof sockaddr_in or sockaddr_in6. Unix addresses of these lengths (paths of 13 and 25 bytes) are
 * refused too; the caller sees to it that its own paths have others.
 */
static void filter_bind(struct program *program) {
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_bind, 0, 6);
  load(program, ARGUMENT(2));
  refuse_if(program, 16, EACCES);
  refuse_if(program, 28, EACCES);
  answer(program, 0);
}

static void apply_seccomp(const struct options *options, struct applied *applied) {
  struct program program = {.size = 0};
  load(&program, offsetof(struct seccomp_data, arch));
  emit(&program, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
  emit(&program, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
  load(&program, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
  emit(&program, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1); /* x32 has numbers of its own */
  answer(&program, ENOSYS);
#endif
  for (int i = 0; vanishing[i] >= 0; i++) {
    refuse_if(&program, (uint32_t)vanishing[i], ENOENT);
  }
  for (int i = 0; forbidden[i] >= 0; i++) {
    refuse_if(&program, (uint32_t)forbidden[i], forbidden[i] >= 425 && forbidden[i] <= 427 ? ENOSYS : EPERM);
  }
  if (options->no_bind) {
    filter_bind(&program);
  }
  filter_socket(&program, options);
  answer(&program, 0);
  struct sock_fprog filter = {.len = program.size, .filter = program.code};
  applied->seccomp = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

static int write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? -1 : write(fd, text, strlen(text));
  close(fd);
  return size < 0 ? -1 : 0;
}

/* A network namespace with nothing in it; the user keeps their own ids, so files stay theirs. */
static void enter_namespace(struct applied *applied) {
  unsigned uid = geteuid();
  unsigned gid = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    applied->netns_errno = errno;
    return;
  }
  char map[64];
  snprintf(map, sizeof map, "%u %u 1", uid, uid);
  int mapped = write_file("/proc/self/uid_map", map) == 0 && write_file("/proc/self/setgroups", "deny") == 0;
  snprintf(map, sizeof map, "%u %u 1", gid, gid);
  if (!mapped || write_file("/proc/self/gid_map", map) != 0) {
    applied->netns_errno = errno; /* harmless: ownership on disk goes by the ids outside */
  }
  applied->netns = 1;
}

static int parse(int argc, char **argv, struct options *options) {
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(argv[i], "--") == 0) {
      options->command = &argv[i + 1];
      return options->run != NULL && value != NULL && value[0] == '/';
    }
    if (strcmp(argv[i], "--internal") == 0) {
      options->internal = 1;
    } else if (strcmp(argv[i], "--no-bind") == 0) {
      options->no_bind = 1;
    } else if (strcmp(argv[i], "--run") == 0 && value != NULL) {
      options->run = argv[++i];
    } else if (strcmp(argv[i], "--status-fd") == 0 && value != NULL) {
      options->status = atoi(argv[++i]);
    } else if (strcmp(argv[i], "--read") == 0 && value != NULL && options->read_count < MAX_READS) {
      options->reads[options->read_count++] = argv[++i];
    } else {
      return 0;
    }
  }
  return 0;
}

static const char *refusal(const struct options *options, const struct applied *applied) {
  if (!applied->files && !applied->seccomp) {
    return "this kernel gives neither Landlock nor seccomp filters, so guests could remove files of the host";
  }
  if (options->internal && !applied->netns && !applied->seccomp) {
    return "this kernel gives neither a network namespace nor seccomp filters, so the network would not be internal";
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--abi") == 0) {
    return printf("%d\n", landlock_abi()) < 0;
  }
  struct options options = {.status = 2};
  if (!parse(argc, argv, &options)) {
    fputs("usage: jail --abi | jail --run DIR [--internal] [--no-bind] [--read PATH]... [--status-fd N] -- /PROGRAM [ARGUMENT]...\n", stderr);
    return 64;
  }
  status_fd = options.status;
  if (status_fd > 2) {
    fcntl(status_fd, F_SETFD, FD_CLOEXEC);
  }
  for (int fd = 3; fd < 256; fd++) {
    if (fd != status_fd) {
      close(fd);
    }
  }
  /* Go listens with MPTCP by default, which Landlock's TCP rule does not see. */
  setenv("GODEBUG", "multipathtcp=0", 1);
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  umask(077);

  struct applied applied = {0};
  if (options.internal) {
    enter_namespace(&applied);
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    report("error=cannot give up gaining privileges: %s", strerror(errno));
    return EX_REFUSED;
  }
  apply_landlock(&options, &applied);
  apply_seccomp(&options, &applied);
  const char *why = refusal(&options, &applied);
  if (why != NULL) {
    report("error=%s", why);
    return EX_REFUSED;
  }
  report("landlock=%d files=%d tcp-bind=%d seccomp=%d bind=%d netns=%d", applied.abi, applied.files, applied.tcp_bind, applied.seccomp,
         options.no_bind && applied.seccomp, applied.netns);
  execv(options.command[0], options.command);
  report("error=cannot start %s: %s", options.command[0], strerror(errno));
  return EX_REFUSED;
}
