/*
 * Starts virtiofsd in a fence, for cases in which its own sandbox is not enough or not available.
 *
 *   share --socket PATH --folder DIR [--read-only] [--read PATH]... -- PROGRAM [ARGUMENT]...
 *   share --socket PATH --file FILE --at DIR [--read-only] -- PROGRAM [ARGUMENT]...
 *   share --socket PATH --sealed DIR --at DIR -- PROGRAM [ARGUMENT]...
 *   share --watch DIR MOST      tells of changes in a shared folder (watch.h)
 *
 * A guest with a kernel of its own can send FUSE requests for `../x`. So the process is confined before exec (which keeps
 * the pid):
 *
 *   --folder   for hosts without user namespaces. Landlock allows reading or writing below the folder, and reading and
 *              running the PATHs; nothing else, so that a rename, a link or a removal by `..` is refused. Only the
 *              capabilities that virtiofsd needs are kept. Without Landlock nothing is started.
 *   --file     a mount namespace (and a user namespace for plain users) in which DIR contains only that file.
 *              The program makes that folder its own sandbox.
 *   --sealed   such a namespace, in which the second DIR is the first with all that is mounted below it, read-only for everybody. The
 *              program itself needs not refuse anything, so that the library in it can answer (vmm/preload/shares.c).
 *
 * All: no new privileges, no core dumps, no inherited descriptors except stdio. Descriptor 3 is a listening socket,
 * so that the program needs no access to the socket's folder. Exit code 71: not started, the reason is on stderr.
 */
#include "fence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watch.h"

#define MAX_READS 32
#define SOCKET_FD 3

struct options {
  const char *socket, *folder, *file, *sealed, *at;
  const char *reads[MAX_READS];
  int read_count;
  int read_only;
  char **command;
};

/* ---- Landlock ---- */

/* What virtiofsd reads of the system: its mounts, its descriptors, its limits. */
static const char *const system_files[] = {"/proc/self", "/proc/sys/fs", "/etc/ld.so.cache", "/dev/null", "/sys/devices/system/cpu",
                                           "/sys/fs/cgroup", NULL};

static void enter_landlock(const struct options *options) {
  struct ruleset rules = landlock_begin();
  if (rules.abi < 0) {
    refuse("Landlock: %s", strerror(errno));
  }
  if (rules.abi == 0) {
    refuse("this kernel has no Landlock, and the host no user namespaces: a guest could reach the files round the folder");
  }
  uint64_t reading = FS_READ_FILE | FS_READ_DIR;
  uint64_t all = rules.fs & ~(uint64_t)(FS_EXECUTE | FS_IOCTL_DEV);
  if (!landlock_allow(&rules, options->folder, options->read_only ? reading : all)) {
    refuse("%s: %s", options->folder, strerror(errno));
  }
  for (int i = 0; system_files[i] != NULL; i++) {
    landlock_allow(&rules, system_files[i], reading);
  }
  for (int i = 0; i < options->read_count; i++) {
    landlock_allow(&rules, options->reads[i], reading | FS_EXECUTE);
  }
  if (!landlock_enter(&rules)) {
    refuse("Landlock: %s", strerror(errno));
  }
}

/* ---- one file ---- */

/* The file itself is bound, as docker does: a file that replaces it on the host is not seen. */
static void show_file(const struct options *options) {
  const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  char place[4096], source[64];
  const char *name = strrchr(options->file, '/');
  /* A plain user becomes root of a namespace, because virtiofsd's own sandbox needs that; files keep their owner. */
  if (!own_mounts(true)) {
    refuse("one file can be given without its folder only where user namespaces are allowed: %s", strerror(errno));
  }
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
  if (options->read_only && mount(NULL, place, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | mount_flags(place), NULL) != 0) {
    refuse("%s read-only: %s", place, strerror(errno));
  }
  if (mount(NULL, options->at, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | plain, NULL) != 0) {
    refuse("%s: %s", options->at, strerror(errno));
  }
  close(fd);
}

/* ---- a folder that nobody can write to ---- */

static void show_sealed(const struct options *options) {
  if (!own_mounts(true)) {
    refuse("a mount namespace: %s", strerror(errno));
  }
  if (!bind_read_only(options->sealed, options->at)) {
    refuse("%s read-only: %s", options->sealed, strerror(errno));
  }
}

/* ---- start ---- */

static int parse(int argc, char **argv, struct options *options) {
  for (int i = 1; i < argc; i++) {
    char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(argv[i], "--") == 0) {
      options->command = &argv[i + 1];
      int ways = (options->folder != NULL) + (options->file != NULL && options->at != NULL) + (options->sealed != NULL && options->at != NULL);
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
    } else if (strcmp(argv[i], "--sealed") == 0) {
      options->sealed = value;
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
  bool whole = argc == 4 && strcmp(argv[1], "--watch-whole") == 0;
  if (whole || (argc == 4 && strcmp(argv[1], "--watch") == 0)) {
    close_from(STDERR_FILENO + 1);
    give_up_gaining();
    return watch_folder(argv[2], atoi(argv[3]), whole);
  }
  if (!parse(argc, argv, &options)) {
    fputs("usage: share --socket PATH (--folder DIR [--read PATH]... | --file FILE --at DIR | --sealed DIR --at DIR) [--read-only] -- /PROGRAM [ARGUMENT]...\n", stderr);
    return 64;
  }
  close_from(SOCKET_FD);
  umask(077);
  listen_at(options.socket, SOCKET_FD);
  if (options.file != NULL) {
    show_file(&options);
  }
  if (options.sealed != NULL) {
    show_sealed(&options);
  }
  give_up_gaining();
  if (options.folder != NULL) {
    enter_landlock(&options);
  }
  umask(0); /* The modes of files in the share are the guest's. */
  execv(options.command[0], options.command);
  refuse("cannot start %s: %s", options.command[0], strerror(errno));
}
