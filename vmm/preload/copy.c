/* Turns a fork into an independent machine: it gets its own descriptors, sockets and files, and cannot affect others. */
#include "preload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- descriptors ---- */

/* The descriptor for errors of a copy until it is complete. */
static int report = -1;

static void refuse(const char *what, const char *which) {
  dprintf(report, "%s %s: %s", what, which, strerror(errno));
  _exit(1);
}

static void take_place(int fd, int place) {
  int flags = fcntl(place, F_GETFD);
  if (fd < 0 || flags < 0 || dup3(fd, place, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0) {
    refuse("replacing", "a descriptor");
  }
  close(fd);
}

static struct move *find_move(struct request *request, const char *path) {
  for (int i = 0; i < request->move_count; i++) {
    if (strcmp(request->moves[i].from, path) == 0) {
      return &request->moves[i];
    }
  }
  return NULL;
}

/* An eventfd of the main loop; each copy gets its own, with the same counter. */
static void renew_event(int fd) {
  int flags = fcntl(fd, F_GETFL);
  uint64_t count = 0;
  if ((flags & O_NONBLOCK) != 0 && read(fd, &count, sizeof count) == sizeof count && write(fd, &count, sizeof count) < 0) {
    refuse("keeping", "an event");
  }
  take_place(eventfd((unsigned)count, EFD_CLOEXEC | (flags & O_NONBLOCK ? EFD_NONBLOCK : 0)), fd);
}

static int listen_at(const char *path, int flags) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0), 0);
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  bool ok = fd >= 0 && strlen(path) < sizeof address.sun_path && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
  return ok ? fd : -1;
}

/* A connection belongs to the process that was copied; in the copy it is closed. */
static int ended_connection(void) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    return -1;
  }
  close(pair[1]);
  return pair[0];
}

static void renew_socket(struct request *request, int fd) {
  struct sockaddr_un address = {0};
  socklen_t length = sizeof address - 1, size = sizeof(int);
  int listens = 0;
  getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
  struct move *move = getsockname(fd, (struct sockaddr *)&address, &length) == 0 ? find_move(request, address.sun_path) : NULL;
  if (listens && move == NULL) {
    refuse("nothing takes the place of", address.sun_path);
  }
  int renewed = listens ? listen_at(move->to, fcntl(fd, F_GETFL)) : ended_connection();
  if (renewed < 0) {
    refuse("listening at", listens ? move->to : "nothing");
  }
  take_place(renewed, fd);
  if (listens) {
    move->done = true;
  }
}

/* Keeps holes, because a disk has sixty gigabytes of them. */
static bool copy_contents(int from, int to) {
  static char bytes[256 << 10];
  struct stat st;
  bool ok = fstat(from, &st) == 0 && ftruncate(to, st.st_size) == 0;
  off_t at = 0;
  while (ok && (at = lseek(from, at, SEEK_DATA)) >= 0) {
    off_t end = lseek(from, at, SEEK_HOLE);
    while (ok && at < end) {
      size_t part = end - at < (off_t)sizeof bytes ? (size_t)(end - at) : sizeof bytes;
      ssize_t n = pread(from, bytes, part, at);
      ok = n > 0 && pwrite(to, bytes, (size_t)n, at) == n;
      at += n;
    }
  }
  return ok && errno == ENXIO;
}

/* QEMU locks bytes of an image to announce how it uses it (block/file-posix.c). The locks belong to the open file
 * description, so a copy has to take them again: the locks that `from` holds are taken for `to`. */
static void copy_locks(int from, int to) {
  static const int bases[] = {100, 200};
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", from);
  int other = open(link, O_RDWR | O_CLOEXEC);
  for (int i = 0; other >= 0 && i < 2 * 64; i++) {
    struct flock seen = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = bases[i / 64] + i % 64, .l_len = 1}, own = seen, mark = seen;
    mark.l_type = F_RDLCK;
    bool is_own = fcntl(other, F_OFD_GETLK, &seen) == 0 && seen.l_type != F_UNLCK && fcntl(from, F_OFD_GETLK, &own) == 0 && own.l_type == F_UNLCK;
    if (is_own && fcntl(to, F_OFD_SETLK, &mark) != 0) {
      refuse("locking", "the layer");
    }
  }
  if (other >= 0) {
    close(other);
  }
}

/* The file is complete or does not exist, whenever a process is killed. */
static void make_file(int from, const char *path) {
  char staging[4096];
  snprintf(staging, sizeof staging, "%s.tmp", path);
  int fd = open(staging, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || !copy_contents(from, fd) || rename(staging, path) != 0) {
    unlink(staging);
    refuse("making", path);
  }
  close(fd);
}

static void renew_file(struct move *move, int fd) {
  if (move->copies && !move->done) {
    make_file(fd, move->to);
  }
  int file = open(move->to, (fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK)) | O_CLOEXEC);
  if (file < 0) {
    refuse("opening", move->to);
  }
  if (move->copies) {
    copy_locks(fd, file);
  }
  take_place(file, fd);
  move->done = true;
}

/* Two processes must not share a file that is written; a file that is only read may be shared. */
static bool is_written(int fd) {
  struct stat st;
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static void renew(struct request *request, int fd) {
  char link[32], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = 0;
  struct move *move = find_move(request, path);
  if (fd == request->nic_at) {
    take_place(request->nic, fd);
  } else if (strcmp(path, "anon_inode:[eventfd]") == 0) {
    renew_event(fd);
  } else if (strncmp(path, "socket:", 7) == 0) {
    renew_socket(request, fd);
  } else if (move != NULL) {
    renew_file(move, fd);
  } else if (is_written(fd) || strcmp(path, "anon_inode:[io_uring]") == 0) {
    errno = EBUSY;
    refuse("nothing takes the place of", path);
  }
}

static int list_descriptors(int *out, int max) {
  DIR *dir = opendir("/proc/self/fd");
  struct dirent *entry;
  int count = 0;
  while (dir != NULL && (entry = readdir(dir)) != NULL && count < max) {
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != dirfd(dir)) {
      out[count++] = fd;
    }
  }
  if (dir != NULL) {
    closedir(dir);
  }
  return count;
}

/* ---- copies ---- */

enum { MAX_DESCRIPTORS = 1024 };

/* The position of this process's name in its command line, which is ordinary memory. */
static char *shown_name;

void copy_outlives(void) { prctl(PR_SET_PDEATHSIG, 0); }

void name_place(char *text) { shown_name = text; }

static void show_name(const char *name) {
  for (size_t i = 0; shown_name != NULL && shown_name[i] != 0; i++) {
    shown_name[i] = *name != 0 ? *name++ : ' ';
  }
}

/* The descriptors of the process that is copied, listed before the fork. */
static int descriptors[MAX_DESCRIPTORS], descriptor_count;

static void become_machine(struct request *request, pid_t origin) {
  /* The requester may never learn of this copy, so until somebody has connected it ends together with its origin. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != origin) {
    _exit(1);
  }
  show_name(request->name);
  for (int i = 0; i < descriptor_count; i++) {
    if (descriptors[i] != request->nic) {
      renew(request, descriptors[i]);
    }
  }
  for (int i = 0; i < request->move_count; i++) {
    if (!request->moves[i].done) {
      errno = ENOENT;
      refuse("moving", request->moves[i].from);
    }
  }
  if (!narrow_files(request) || !forbid_spawning(false)) {
    refuse("limiting", "the copy");
  }
  if (!threads_revive()) {
    refuse("making", "a thread");
  }
  if (write(report, "", 1) != 1) {
    _exit(1);
  }
  close(report);
}

pid_t make_copy(struct request *request, int channel, char *reason, size_t size) {
  int ends[2];
  pid_t origin = getpid();
  /* Before the others are parked: one of them may hold what the C library needs for it. */
  descriptor_count = list_descriptors(descriptors, MAX_DESCRIPTORS);
  const char *error = threads_park();
  if (error != NULL) {
    snprintf(reason, size, "%s", error);
    return -1;
  }
  pid_t pid = pipe2(ends, O_CLOEXEC) == 0 ? threads_fork() : -1;
  if (pid < 0) {
    snprintf(reason, size, "copying the process: %s", strerror(errno));
    threads_unpark();
    return -1;
  }
  if (pid == 0) {
    close(ends[0]);
    close(channel);
    report = ends[1];
    become_machine(request, origin);
    return 0;
  }
  close(ends[1]);
  ssize_t length = read(ends[0], reason, size - 1);
  close(ends[0]);
  /* Not earlier, because the copy reads events that both still share. */
  threads_unpark();
  if (length <= 0) {
    length = snprintf(reason, size, "the copy ended");
  }
  reason[length] = 0;
  return *reason != 0 ? -1 : pid;
}
