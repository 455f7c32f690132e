/* The programs of the test machines: one static binary, so that no image and no network is needed. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static int code;

static void on_term(int signal) {
  (void)signal;
  static const char text[] = "bye\n";
  _exit(write(1, text, 4) == 4 ? code : 1);
}

static int copy(int from) {
  char bytes[65536];
  ssize_t n;
  while ((n = read(from, bytes, sizeof bytes)) > 0) {
    if (write(1, bytes, (size_t)n) != n) {
      return 1;
    }
  }
  return n < 0;
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int list(const char *path) {
  char *names[1024];
  size_t count = 0;
  DIR *dir = opendir(path);
  for (struct dirent *e; dir != NULL && count < 1024 && (e = readdir(dir)) != NULL;) {
    if (e->d_name[0] != '.') {
      names[count++] = strdup(e->d_name);
    }
  }
  qsort(names, count, sizeof *names, compare);
  for (size_t i = 0; i < count; i++) {
    printf("%s\n", names[i]);
  }
  return dir == NULL;
}

static int identity(void) {
  gid_t groups[64];
  int count = getgroups(64, groups);
  printf("%u %u", getuid(), getgid());
  for (int i = 0; i < count; i++) {
    printf(" +%u", groups[i]);
  }
  printf(" pid=%d home=%s\n", getpid(), getenv("HOME"));
  return 0;
}

static int describe(const char *path) {
  struct stat st;
  if (lstat(path, &st) != 0) {
    return printf("%s\n", strerror(errno)) < 0;
  }
  printf("%o %u %u %lld\n", st.st_mode, st.st_uid, st.st_gid, S_ISREG(st.st_mode) ? (long long)st.st_size : 0);
  return 0;
}

static int put(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
    return printf("%s\n", strerror(errno)) < 0 ? 2 : 1;
  }
  return 0;
}

/* So many files in folders of a hundred. */
static int many(const char *place, long count) {
  char path[4096];
  int result = mkdir(place, 0755);
  for (long i = 0; result == 0 && i < count; i++) {
    snprintf(path, sizeof path, "%s/%ld", place, i / 100);
    result = i % 100 == 0 ? mkdir(path, 0755) : 0;
    snprintf(path, sizeof path, "%s/%ld/%ld", place, i / 100, i);
    FILE *file = fopen(path, "w");
    result = result != 0 || file == NULL || fprintf(file, "file %ld", i) < 0 || fclose(file) != 0;
  }
  return result;
}

/* Prints the names of what changes in a folder. */
static int watch_folder(const char *path) {
  static char bytes[4096] __attribute__((aligned(8)));
  int events = inotify_init();
  if (inotify_add_watch(events, path, IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE | IN_MOVED_FROM) < 0 || puts("ready") < 0) {
    return 1;
  }
  fflush(stdout);
  for (ssize_t n; (n = read(events, bytes, sizeof bytes)) > 0; fflush(stdout)) {
    for (char *at = bytes; at < bytes + n; at += sizeof(struct inotify_event) + ((struct inotify_event *)at)->len) {
      puts(((struct inotify_event *)at)->name);
    }
  }
  return 1;
}

static int flood(long bytes) {
  char line[64];
  for (long i = 0; i < bytes / 16; i++) {
    int n = snprintf(line, sizeof line, "%015ld\n", i);
    if (fwrite(line, 1, (size_t)n, stdout) != (size_t)n) {
      return 1;
    }
  }
  return 0;
}

static int terminal(void) {
  struct winsize size;
  char line[128];
  ioctl(0, TIOCGWINSZ, &size);
  printf("%s %dx%d\n", isatty(0) ? ttyname(0) : "no tty", size.ws_col, size.ws_row);
  fflush(stdout);
  return fgets(line, sizeof line, stdin) == NULL || printf("got %s", line) < 0;
}

/* One A question to 127.0.0.11; prints the code and the addresses in order. */
static int resolve(const char *name, int tcp) {
  unsigned char m[600] = {0, 0, 0x12, 0x34, 1, 0, 0, 1}, *at = m + 14;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
  inet_pton(AF_INET, "127.0.0.11", &to.sin_addr);
  for (const char *p = name; *p != 0;) {
    size_t n = strcspn(p, ".");
    *at++ = (unsigned char)n;
    memcpy(at, p, n);
    at += n, p += n + (p[n] == '.');
  }
  memcpy(at, "\0\0\1\0\1", 5);
  at += 5;
  size_t length = (size_t)(at - m) - 2, skip = tcp ? 0 : 2;
  m[1] = (unsigned char)length;
  int fd = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
  ssize_t n = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && write(fd, m + skip, length + 2 - skip) > 0 ? read(fd, m + skip, sizeof m - skip) : -1;
  if (n < 12) {
    return printf("no answer\n") < 0;
  }
  printf("code %d", m[5] & 15);
  for (int i = 0; i < m[9]; i++) {
    unsigned char *r = m + 2 + length + i * 16;
    printf(" %d.%d.%d.%d", r[12], r[13], r[14], r[15]);
  }
  printf("\n");
  return 0;
}

static int listen_on(int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  return bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 1) != 0 || pause() != 0;
}

static int eat(long mib) {
  for (long i = 0; i < mib; i++) {
    char *p = malloc(1 << 20);
    if (p == NULL) {
      return 1;
    }
    memset(p, (int)i, 1 << 20);
  }
  return 0;
}

/* What the processor says is random, without the kernel's having a part in it. */
static int processor_random(void) {
  unsigned long long value = 0;
  unsigned char ok = 0;
  for (int tries = 0; !ok && tries < 100; tries++) {
    __asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(ok));
  }
  return printf("%llx\n", value) < 0 || !ok;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "", *a = argc > 2 ? argv[2] : "", *b = argc > 3 ? argv[3] : "";
#define IS(name) (strcmp(what, name) == 0)
  if (IS("echo")) return puts(a) < 0;
  if (IS("cat")) return a[0] == 0 ? copy(0) : copy(open(a, O_RDONLY));
  if (IS("ls")) return list(a);
  if (IS("id")) return identity();
  if (IS("stat")) return describe(a);
  if (IS("put")) return put(a, b);
  if (IS("rm")) return remove(a) != 0;
  if (IS("many")) return many(a, atol(b));
  if (IS("watch")) return watch_folder(a);
  if (IS("mv")) return rename(a, b) != 0;
  if (IS("mkdir")) return mkdir(a, 0755) != 0;
  if (IS("link")) return link(a, b) != 0;
  if (IS("flood")) return flood(atol(a));
  if (IS("tty")) return terminal();
  if (IS("resolve")) return resolve(a, b[0] != 0);
  if (IS("listen")) return listen_on(atoi(a));
  if (IS("eat")) return eat(atol(a));
  if (IS("exit")) return atoi(a);
  if (IS("kill")) return raise(atoi(a));
  if (IS("host")) {
    char name[100];
    gethostname(name, sizeof name);
    return puts(name) < 0;
  }
  if (IS("linger")) {
    /* Leaves a child behind that keeps stdout open. */
    if (fork() == 0) {
      pause();
    }
    return puts("left") < 0;
  }
  if (IS("trap") || IS("chatter")) {
    code = atoi(a);
    signal(SIGTERM, on_term);
    puts("ready");
    fflush(stdout);
    for (long n = IS("chatter") ? atol(b) : 0, i = 0; i < n; i++) {
      printf("%07ld\n", i);
    }
    fflush(stdout);
    for (;;) {
      pause();
    }
  }
  if (IS("rdrand")) return processor_random();
  if (IS("pause")) return pause();
  fprintf(stderr, "toolbox: %s?\n", what);
  return 2;
}
