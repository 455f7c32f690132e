/*
 * Starts virtiofsd in a fence, for cases in which its own sandbox is not enough or not available.
 *
 *   share --socket PATH --folder DIR [--read-only] [--read PATH]... -- PROGRAM [ARGUMENT]...
 *   share --socket PATH --file FILE --at DIR [--read-only] -- PROGRAM [ARGUMENT]...
 *
 * A guest with a kernel of its own can send FUSE requests for `../x`. So the process is confined before exec (which keeps
 * the pid):
 *
 *   --folder   for hosts without user namespaces. Landlock allows reading or writing below the folder, and reading and
 *              running the PATHs; nothing else, so that a rename, a link or a removal by `..` is refused. Only the
 *              capabilities that virtiofsd needs are kept. Without Landlock nothing is started.
 *   --file     a mount namespace (and a user namespace for plain users) in which DIR contains only that file.
 *              The program makes that folder its own sandbox.
 *
 * Both: no new privileges, no core dumps, no inherited descriptors except stdio. Descriptor 3 is a listening socket,
 * so that the program needs no access to the socket's folder. Exit code 71: not started, the reason is on stderr.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define EX_REFUSED 71
#define MAX_READS 32
#define SOCKET_FD 3
#define NR_CLOSE_RANGE 436

/* Landlock's numbers (linux/landlock.h), spelt out because the headers of older systems lack the later ones. */
#define NR_CREATE_RULESET 444
#define NR_ADD_RULE 445
#define NR_RESTRICT_SELF 446
#define RULE_PATH_BENEATH 1
#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_ALL_ABI1 ((1ULL << 13) - 1)
#define FS_REFER (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_ALL 3ULL
#define SCOPE_ALL 3ULL

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
  const char *socket, *folder, *file, *at;
  const char *reads[MAX_READS];
  int read_count;
  int read_only;
  char **command;
};

static void refuse(const char *format, ...) {
  va_list list;
  va_start(list, format);
  fputs("fence: ", stderr);
  vfprintf(stderr, format, list);
  fputc('\n', stderr);
  va_end(list);
  exit(EX_REFUSED);
}

/* ---- Landlock ---- */

static int allow(int ruleset, const char *path, uint64_t rights) {
  int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) {
    return -1;
  }
  struct stat info;
  if (fstat(fd, &info) == 0 && !S_ISDIR(info.st_mode)) {
    rights &= FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE;
  }
  struct path_rule rule = {.allowed = rights, .parent = fd};
  int result = (int)syscall(NR_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0);
  close(fd);
  return result;
}

/* What virtiofsd looks at of the system: its mounts, its descriptors, its limits. */
static const char *const system_files[] = {"/proc/self", "/proc/sys/fs", "/etc/ld.so.cache", "/dev/null", "/sys/devices/system/cpu",
                                           "/sys/fs/cgroup", NULL};

static void enter_landlock(const struct options *options) {
  long abi = syscall(NR_CREATE_RULESET, NULL, 0, 1);
  if (abi < 1) {
    refuse("this kernel has no Landlock, and the host no user namespaces: a guest could reach the files round the folder");
  }
  struct ruleset rules = {.fs = FS_ALL_ABI1, .net = abi >= 4 ? NET_ALL : 0, .scoped = abi >= 6 ? SCOPE_ALL : 0};
  rules.fs |= (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0);
  size_t size = abi >= 6 ? sizeof rules : abi >= 4 ? offsetof(struct ruleset, scoped) : offsetof(struct ruleset, net);
  int ruleset = (int)syscall(NR_CREATE_RULESET, &rules, size, 0);
  if (ruleset < 0) {
    refuse("Landlock: %s", strerror(errno));
  }
  uint64_t reading = FS_READ_FILE | FS_READ_DIR;
  uint64_t all = rules.fs & ~(FS_EXECUTE | FS_IOCTL_DEV);
  if (allow(ruleset, options->folder, options->read_only ? reading : all) != 0) {
    refuse("%s: %s", options->folder, strerror(errno));
  }
  for (int i = 0; system_files[i] != NULL; i++) {
    allow(ruleset, system_files[i], reading);
  }
  for (int i = 0; i < options->read_count; i++) {
    allow(ruleset, options->reads[i], reading | FS_EXECUTE);
  }
  if (syscall(NR_RESTRICT_SELF, ruleset, 0) != 0) {
    refuse("Landlock: %s", strerror(errno));
  }
  close(ruleset);
}

/* ---- one file ---- */

static void write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) {
    refuse("%s: %s", path, strerror(errno));
  }
  close(fd);
}

/* Who is not root is root of a namespace: mounts need that, and files stay theirs. */
static void enter_namespace(void) {
  unsigned uid = geteuid(), gid = getegid();
  if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) {
    refuse("one file can be given without its folder only where user namespaces are allowed: %s", strerror(errno));
  }
  if (uid != 0) {
    char map[64];
    snprintf(map, sizeof map, "0 %u 1", uid);
    write_text("/proc/self/uid_map", map);
    write_text("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", gid);
    write_text("/proc/self/gid_map", map);
  }
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
    refuse("mounts of its own: %s", strerror(errno));
  }
}

/* Flags that the mount has: in a user namespace they can be added to, but not taken away. */
static unsigned long flags_of(const char *path) {
  struct statvfs info;
  unsigned long flags = statvfs(path, &info) == 0 ? info.f_flag : 0;
  return (flags & ST_NOSUID ? MS_NOSUID : 0) | (flags & ST_NODEV ? MS_NODEV : 0) | (flags & ST_NOEXEC ? MS_NOEXEC : 0) |
         (flags & ST_NOATIME ? MS_NOATIME : 0) | (flags & ST_NODIRATIME ? MS_NODIRATIME : 0) | (flags & ST_RELATIME ? MS_RELATIME : 0);
}

/* The file itself is bound, as docker does: whoever replaces it on the host makes another. */
static void show_file(const struct options *options) {
  const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  char place[4096], source[64];
  const char *name = strrchr(options->file, '/');
  enter_namespace();
  int fd = open(options->file, O_PATH | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    refuse("%s: %s", options->file, fd < 0 ? strerror(errno) : "it is not a file");
  }
  if (mount("tmpfs", options->at, "tmpfs", plain, "mode=0755,size=64k") != 0) {
    refuse("%s: %s", options->at, strerror(errno));
  }
  snprintf(place, sizeof place, "%s/%s", options->at, name == NULL ? options->file : name + 1);
  snprintf(source, sizeof source, "/proc/self/fd/%d", fd);
  int made = open(place, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (made < 0 || mount(source, place, NULL, MS_BIND, NULL) != 0) {
    refuse("%s: %s", place, strerror(errno));
  }
  close(made);
  if (options->read_only && mount(NULL, place, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags_of(place), NULL) != 0) {
    refuse("%s read-only: %s", place, strerror(errno));
  }
  if (mount(NULL, options->at, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | plain, NULL) != 0) {
    refuse("%s: %s", options->at, strerror(errno));
  }
  close(fd);
}

/* ---- start ---- */

static void listen_at(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    refuse("the path %s is too long for a socket", path);
  }
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0) {
    refuse("%s: %s", path, strerror(errno));
  }
  if (fd != SOCKET_FD && (dup2(fd, SOCKET_FD) < 0 || close(fd) != 0)) {
    refuse("%s: %s", path, strerror(errno));
  }
}

/* On kernels before 5.9 one by one. */
static void close_from(unsigned first) {
  if (syscall(NR_CLOSE_RANGE, first, ~0U, 0) == 0) {
    return;
  }
  struct rlimit limit = {65536, 65536};
  getrlimit(RLIMIT_NOFILE, &limit);
  for (unsigned fd = first; fd < (limit.rlim_cur < 1048576 ? limit.rlim_cur : 1048576); fd++) {
    close((int)fd);
  }
}

static int parse(int argc, char **argv, struct options *options) {
  for (int i = 1; i < argc; i++) {
    char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(argv[i], "--") == 0) {
      options->command = &argv[i + 1];
      int ways = (options->folder != NULL) + (options->file != NULL && options->at != NULL);
      return options->socket != NULL && ways == 1 && value != NULL && value[0] == '/';
    }
    if (strcmp(argv[i], "--read-only") == 0) {
      options->read_only = 1;
      continue;
    }
    if (value == NULL) {
      return 0;
    }
    if (strcmp(argv[i], "--socket") == 0) {
      options->socket = value;
    } else if (strcmp(argv[i], "--folder") == 0) {
      options->folder = value;
    } else if (strcmp(argv[i], "--file") == 0) {
      options->file = value;
    } else if (strcmp(argv[i], "--at") == 0) {
      options->at = value;
    } else if (strcmp(argv[i], "--read") == 0 && options->read_count < MAX_READS) {
      options->reads[options->read_count++] = value;
    } else {
      return 0;
    }
    i++;
  }
  return 0;
}

int main(int argc, char **argv) {
  struct options options = {0};
  if (!parse(argc, argv, &options)) {
    fputs("usage: share --socket PATH (--folder DIR [--read PATH]... | --file FILE --at DIR) [--read-only] -- /PROGRAM [ARGUMENT]...\n", stderr);
    return 64;
  }
  close_from(SOCKET_FD);
  umask(077);
  listen_at(options.socket);
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  if (options.file != NULL) {
    show_file(&options);
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    refuse("cannot give up gaining privileges: %s", strerror(errno));
  }
  if (options.folder != NULL) {
    enter_landlock(&options);
  }
  umask(0); /* The modes of files in the share are the guest's. */
  execv(options.command[0], options.command);
  refuse("cannot start %s: %s", options.command[0], strerror(errno));
}
