/*
 * What `npm run bench -- data` runs on the host, in a service and in a container, so that all of them do the same. Prints a line
 * `name value` for each figure; seconds, unless said otherwise.
 *
 *   probe files DIR COUNT      create, read, unlink: COUNT files of 1 KiB in twenty folders
 *   probe disk DIR MIB         write (with fsync), read (not from this kernel's cache)
 *   probe serve PORT           the other end of `net`, until it is killed
 *   probe net HOST PORT MIB    up, down; pair and connect: medians in microseconds
 *   probe dns NAME COUNT MOST  names per second with MOST questions in flight, and how many stayed without an answer
 *   probe sink                 bytes of standard input
 *   probe source MIB           that many MiB to standard output
 */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

char buffer[BUFFER];

double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

_Noreturn void die(const char *what) {
  fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void name_of(char *out, size_t size, const char *dir, int at) {
  snprintf(out, size, "%s/d%d/f%d", dir, at % FOLDERS, at);
}

static void create_one(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (fd < 0 || write(fd, buffer, SMALL) != SMALL || close(fd) != 0) {
    die(path);
  }
}

static void read_one(const char *path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0 || read(fd, buffer, SMALL) != SMALL || read(fd, buffer, SMALL) != 0 || close(fd) != 0) {
    die(path);
  }
}

static void unlink_one(const char *path) {
  if (unlink(path) != 0) {
    die(path);
  }
}

static void each(const char *what, void (*work)(const char *), const char *dir, int count) {
  char path[4096];
  double begin = now();
  for (int i = 0; i < count; i++) {
    name_of(path, sizeof path, dir, i);
    work(path);
  }
  printf("%s %.6f\n", what, now() - begin);
}

static void folders(const char *dir, bool make) {
  char path[4096];
  for (int i = 0; i < FOLDERS; i++) {
    snprintf(path, sizeof path, "%s/d%d", dir, i);
    if ((make ? mkdir(path, 0755) : rmdir(path)) != 0) {
      die(path);
    }
  }
}

static void run_files(const char *dir, int count) {
  folders(dir, true);
  each("create", create_one, dir, count);
  each("read", read_one, dir, count);
  each("unlink", unlink_one, dir, count);
  folders(dir, false);
}

static void run_disk(const char *dir, long mib) {
  char path[4096];
  snprintf(path, sizeof path, "%s/probe", dir);
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  double begin = now();
  for (long i = 0; i < mib * MIB / BUFFER; i++) {
    if (write(fd, buffer, BUFFER) != BUFFER) {
      die(path);
    }
  }
  if (fsync(fd) != 0) {
    die(path);
  }
  printf("write %.6f\n", now() - begin);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  lseek(fd, 0, SEEK_SET);
  begin = now();
  while (read(fd, buffer, BUFFER) > 0) {
  }
  printf("read %.6f\n", now() - begin);
  unlink(path);
}

static void run_sink(void) {
  long long sum = 0;
  for (ssize_t n; (n = read(0, buffer, BUFFER)) > 0;) {
    sum += n;
  }
  printf("bytes %lld\n", sum);
}

static void run_source(long mib) {
  for (long long left = mib * MIB; left > 0;) {
    ssize_t n = write(1, buffer, left < BUFFER ? (size_t)left : BUFFER);
    if (n <= 0) {
      die("standard output");
    }
    left -= n;
  }
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  setvbuf(stdout, NULL, _IOLBF, 0);
  memset(buffer, 'x', sizeof buffer);
  if (argc == 4 && strcmp(what, "files") == 0) {
    run_files(argv[2], atoi(argv[3]));
  } else if (argc == 4 && strcmp(what, "disk") == 0) {
    run_disk(argv[2], atol(argv[3]));
  } else if (argc == 3 && strcmp(what, "serve") == 0) {
    run_serve(atoi(argv[2]));
  } else if (argc == 5 && strcmp(what, "net") == 0) {
    run_net(argv[2], argv[3], atol(argv[4]));
  } else if (argc == 5 && strcmp(what, "dns") == 0) {
    run_dns(argv[2], atoi(argv[3]), atoi(argv[4]));
  } else if (strcmp(what, "sink") == 0) {
    run_sink();
  } else if (argc == 3 && strcmp(what, "source") == 0) {
    run_source(atol(argv[2]));
  } else {
    fprintf(stderr, "probe: see its first lines\n");
    return 2;
  }
  return 0;
}
