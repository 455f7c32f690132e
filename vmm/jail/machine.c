/*
 * Starts QEMU in its fence; the pid stays.
 *
 *   machine [--listen FD PATH]... [--connect FD PATH]... [--read PATH]... [--run PATH]... [--write PATH]... [--device PATH]...
 *           [--make DIR]... [--keep N] [--files N] [--size BYTES] [--lock BYTES] [--preload LIBRARY] [--copies] [--without-files] -- /PROGRAM [ARGUMENT]...
 *
 * A guest's kernel is the guest's, and QEMU parses what it says. So QEMU gets what it needs and nothing else:
 *
 *   sockets    made, bound and connected here, and handed over as descriptors FD. QEMU can make none: no TCP, no datagram, no netlink, no
 *              other machine's socket, abstract or not.
 *   files      Landlock: what --read, --run (the loader of a program of the host), --write, --device and --make name (the last with files and
 *              sockets made beneath), the program itself, and a handful of the system's. Where the kernel has no Landlock, a mount namespace
 *              whose root holds just these (view.c); where that cannot be had either nothing is started, unless --without-files says so.
 *   calls      an allow-list (calls.c); without it nothing is started. No program can be started but PROGRAM, and that once.
 *   privileges no new ones, and of user 0 no capability.
 *   limits     no core, --files descriptors, --size bytes for any file that it writes, --lock bytes of memory that stay where they are (cards of the
 *              host write to it, vmm/vfio).
 *
 *   machine --probe [--without-files]
 *
 * puts the same fence round itself, with files of its own only, tries its doors and prints as JSON what holds on this host.
 *
 * Descriptors from N on are closed first. --copies is for a zygote (vmm/preload), which forks, binds sockets and makes files; only
 * Landlock can be narrowed for each copy.
 * Exit code 71: not started, the reason is on stderr.
 */
#include "fence.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

enum { MAX_RULES = 512 };

struct socket_at {
  const char *path;
  int fd;
  bool listens;
};

struct options {
  struct path_right rights[MAX_RULES];
  struct socket_at sockets[64];
  int right_count, socket_count;
  unsigned keep;
  rlim_t files, size, lock;
  bool copies, without_files;
  char **command;
};

static const struct kind {
  const char *name;
  uint64_t rights;
} kinds[] = {
    {"--read", FS_READ_FILE | FS_READ_DIR},
    {"--run", FS_READ_FILE | FS_READ_DIR | FS_EXECUTE},
    {"--write", FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE},
    {"--device", FS_READ_FILE | FS_WRITE_FILE | FS_IOCTL_DEV},
    {"--make", FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE | FS_MAKE_REG | FS_MAKE_SOCK | FS_REMOVE_FILE},
    {NULL, 0},
};

static void enter_landlock(struct ruleset *rules, const struct options *options) {
  /* Copies have other pids, so all of /proc is readable at first, as far as any process may; each copy restricts itself. */
  landlock_allow_system(rules, options->copies ? "/proc" : "/proc/self");
  for (int i = 0; i < options->right_count; i++) {
    const struct path_right *right = &options->rights[i];
    /* A file that does not exist cannot be opened anyway; QEMU will say so. */
    if (!landlock_allow(rules, right->path, right->rights) && errno != ENOENT) {
      refuse("%s: %s", right->path, strerror(errno));
    }
  }
  if (!landlock_allow(rules, options->command[0], FS_READ_FILE | FS_EXECUTE)) {
    refuse("%s: %s", options->command[0], strerror(errno));
  }
  if (!landlock_enter(rules)) {
    refuse("Landlock: %s", strerror(errno));
  }
}

/* Whether it holds. */
static bool enter_view(const struct options *options) {
  static struct path_right rights[MAX_RULES + 32];
  int count = 0;
  if (!own_mounts(false)) {
    if (!options->without_files) {
      refuse("this kernel has no Landlock, and mounts of its own, which would do instead, are not allowed here: %s", strerror(errno));
    }
    return false;
  }
  for (const struct path_right *right = system_rights; right->path != NULL; right++) {
    rights[count++] = *right;
  }
  rights[count++] = (struct path_right){"/proc/self", FS_READ_FILE | FS_READ_DIR};
  rights[count++] = (struct path_right){options->command[0], FS_READ_FILE | FS_EXECUTE};
  memcpy(&rights[count], options->rights, (size_t)options->right_count * sizeof *rights);
  const char *failed = view_enter(rights, count + options->right_count);
  if (failed != NULL) {
    refuse("%s cannot be in what a machine sees: %s", failed, strerror(errno));
  }
  return true;
}

static const char *const ways[] = {"none", "view", "landlock"};

/* Which of them holds. Before privileges are given up: mounts need them. */
static const char *fence_files(const struct options *options) {
  struct ruleset rules = landlock_begin();
  if (rules.abi < 0) {
    refuse("Landlock: %s", strerror(errno));
  }
  if (rules.abi == 0 && options->copies) {
    refuse("machines are copied only where the kernel has Landlock");
  }
  if (rules.abi == 0) {
    return ways[enter_view(options)];
  }
  give_up_gaining();
  enter_landlock(&rules, options);
  return ways[2];
}

static void limit(int which, rlim_t value) {
  struct rlimit now;
  if (value == 0 || getrlimit(which, &now) != 0) {
    return;
  }
  rlim_t most = value < now.rlim_max ? value : now.rlim_max;
  if (setrlimit(which, &(struct rlimit){most, most}) != 0) {
    refuse("resource limits: %s", strerror(errno));
  }
}

/* Root raises it, as long as it has its capabilities; others have what they may have (vmm/vfio/locked-memory.ts has looked). */
static void raise_lock(rlim_t value) {
  struct rlimit now;
  if (value == 0 || getrlimit(RLIMIT_MEMLOCK, &now) != 0) {
    return;
  }
  rlim_t most = now.rlim_max >= value || geteuid() == 0 ? value : now.rlim_max;
  if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){most, most}) != 0) {
    refuse("memory that stays where it is: %s", strerror(errno));
  }
}

static uint64_t rights_of(const char *name) {
  for (const struct kind *kind = kinds; kind->name != NULL; kind++) {
    if (strcmp(kind->name, name) == 0) {
      return kind->rights;
    }
  }
  return 0;
}

/* How many arguments were taken; 0 if it is none of these. */
static int parse_one(char **argv, int left, struct options *options) {
  uint64_t rights = rights_of(argv[0]);
  bool listens = strcmp(argv[0], "--listen") == 0;
  if (strcmp(argv[0], "--copies") == 0 || strcmp(argv[0], "--without-files") == 0) {
    *(argv[0][2] == 'c' ? &options->copies : &options->without_files) = true;
    return 1;
  }
  if (left < 2) {
    return 0;
  }
  if (rights != 0 && options->right_count < MAX_RULES) {
    options->rights[options->right_count++] = (struct path_right){argv[1], rights};
    return 2;
  }
  if ((listens || strcmp(argv[0], "--connect") == 0) && left >= 3 && options->socket_count < 64) {
    options->sockets[options->socket_count++] = (struct socket_at){argv[2], atoi(argv[1]), listens};
    return 3;
  }
  if (strcmp(argv[0], "--keep") == 0) {
    options->keep = (unsigned)atoi(argv[1]);
    return 2;
  }
  /* Set for QEMU only, not for this program, which must not be loaded with it. */
  if (strcmp(argv[0], "--preload") == 0) {
    return setenv("LD_PRELOAD", argv[1], 1) == 0 ? 2 : 0;
  }
  rlim_t *number = strcmp(argv[0], "--files") == 0  ? &options->files
                   : strcmp(argv[0], "--size") == 0 ? &options->size
                   : strcmp(argv[0], "--lock") == 0 ? &options->lock
                                                    : NULL;
  if (number != NULL) {
    *number = strtoull(argv[1], NULL, 10);
  }
  return number == NULL ? 0 : 2;
}

static bool parse(int argc, char **argv, struct options *options) {
  int i = 1, taken;
  while (i < argc && strcmp(argv[i], "--") != 0) {
    taken = parse_one(&argv[i], argc - i, options);
    if (taken == 0) {
      return false;
    }
    i += taken;
  }
  options->command = &argv[i + 1];
  return i + 1 < argc && argv[i + 1][0] == '/' && options->keep >= 3;
}

/* How files are kept away. */
static const char *hold(const struct options *options) {
  const char *way = fence_files(options);
  limit(RLIMIT_NOFILE, options->files);
  limit(RLIMIT_FSIZE, options->size);
  raise_lock(options->lock);
  drop_capabilities();
  give_up_gaining();
  return way;
}

/* ---- what holds here ---- */

static volatile sig_atomic_t refused;

static void on_refused(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  refused = 1;
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
}

static const char *yes(bool holds) { return holds ? "true" : "false"; }

static int probe(char *self, bool without_files) {
  static struct options options = {.files = 64};
  static char *command[2];
  struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER};
  int abi = landlock_begin().abi;
  options.command = command, options.without_files = without_files;
  command[0] = self;
  sigaction(SIGSYS, &action, NULL);
  const char *way = hold(&options);
  filter_calls(self, false);
  int file = open("/etc/passwd", O_RDONLY), made = socket(AF_UNIX, SOCK_STREAM, 0);
  bool calls = made < 0 && refused;
  printf("{\"landlock\":%d,\"way\":\"%s\",\"files\":%s,\"calls\":%s,\"privileges\":%s}\n", abi, way, yes(file < 0), yes(calls),
         yes(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1));
  return 0;
}

int main(int argc, char **argv) {
  static struct options options;
  bool probes = argc > 1 && strcmp(argv[1], "--probe") == 0, without = argc == 3 && strcmp(argv[2], "--without-files") == 0;
  if (probes && (argc == 2 || without)) {
    return probe(argv[0], without);
  }
  if (argc == 3 && strcmp(argv[1], "--pass") == 0) {
    return pass_descriptor(argv[2]);
  }
  if (!parse(argc, argv, &options)) {
    fputs("usage: machine [--listen FD PATH|--connect FD PATH|--read PATH|--run PATH|--write PATH|--device PATH|--make DIR|--files N|--size BYTES|--lock BYTES|--preload LIBRARY|--copies|--without-files]... "
          "--keep N -- /PROGRAM [ARGUMENT]...\n",
          stderr);
    return 64;
  }
  close_from(options.keep);
  umask(077);
  for (int i = 0; i < options.socket_count; i++) {
    const struct socket_at *at = &options.sockets[i];
    at->listens ? listen_at(at->path, at->fd) : connect_to(at->path, at->fd);
  }
  hold(&options);
  const char *path = filter_calls(options.command[0], options.copies);
  execve(path, options.command, environ);
  refuse("cannot start %s: %s", options.command[0], strerror(errno));
}
