#include "core/boot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/accept_hosts.h"
#include "core/boot_member.h"
#include "dns/dns.h"
#include "handlers/machine_state.h"
#include "lib/console.h"
#include "lib/failure.h"
#include "lib/files.h"
#include "lib/loop.h"
#include "lib/paths.h"
#include "link/host_link.h"
#include "ports/listener_events.h"
#include "process/oom.h"
#include "setup/dev.h"
#include "devices/net.h"

#define PORT_NAME "org.hypr.kestrel"

static uint64_t uptime_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_BOOTTIME, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

#ifdef KESTREL_HOST_TEST

/* As a plain program: the channel is a unix socket. */
void boot_machine(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) {
    console_say("usage: kestrel SOCKET");
    exit(2);
  }
  snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4) != 0) {
    console_say("kestrel: %s: %s", argv[1], strerror(errno));
    exit(2);
  }
  accept_hosts(listener);
  machine_booted(uptime_ms());
  console_say("kestrel: waiting for its configuration");
}

#else

static void mount_basics(void) {
  mkdir("/proc", 0755), mkdir("/sys", 0755), mkdir("/dev", 0755), mkdir(SYSROOT, 0755), mkdir(PRIVATE, 0700);
  mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
  mount("tmpfs", PRIVATE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700");
  mount("cgroup", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate");
  write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory", 7, 0);
  write_file("/sys/fs/cgroup/cgroup.subtree_control", "+pids", 5, 0);
  write_file("/sys/fs/cgroup/cgroup.subtree_control", "+cpu", 4, 0);
  write_file("/sys/fs/cgroup/cgroup.subtree_control", "+io", 3, 0);
  mkdir("/sys/fs/cgroup/work", 0755);
  write_file("/proc/self/oom_score_adj", "-1000", 5, 0);
}

/* EOPNOTSUPP: it is for another processor; of KVM's modules for AMD and Intel only one loads. */
static void load_module(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST && errno != EOPNOTSUPP)) {
    console_say("kestrel: module %s: %s", path, strerror(errno));
  }
  if (fd >= 0) {
    close(fd);
  }
}

static void load_modules(void) {
  FILE *list = fopen("/modules.load", "re");
  char line[256];
  while (list != NULL && fgets(line, sizeof line, list) != NULL) {
    line[strcspn(line, "\n")] = 0;
    if (line[0] == '/') {
      load_module(line);
    }
  }
  if (list != NULL) {
    fclose(list);
  }
}

/* The port's device, or -1 while the driver has not announced it. */
static int find_port(void) {
  DIR *dir = opendir("/sys/class/virtio-ports");
  struct dirent *entry;
  int fd = -1;
  while (fd < 0 && dir != NULL && (entry = readdir(dir)) != NULL) {
    char path[512], name[64];
    snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", entry->d_name);
    if (entry->d_name[0] != '.' && read_small_file(path, name, sizeof name) > 0 && strncmp(name, PORT_NAME, strlen(PORT_NAME)) == 0) {
      snprintf(path, sizeof path, "/dev/%s", entry->d_name);
      fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    }
  }
  if (dir != NULL) {
    closedir(dir);
  }
  return fd;
}

static struct timer port_timer;

/* The device sends the name of a port a moment after its driver has started, and there is no event to wait for. */
static void look_for_port(struct timer *timer) {
  static int tries;
  int fd = find_port();
  if (fd >= 0) {
    uint64_t ms = uptime_ms();
    machine_booted(ms);
    console_say("kestrel: waiting for its configuration (%llu ms)", (unsigned long long)ms);
    link_use(fd, false);
    return;
  }
  if (++tries == 500) {
    console_say("kestrel: no port named " PORT_NAME);
  }
  timer->fn = look_for_port;
  timer_start(timer, tries < 100 ? 5 : 100);
}

/* PID 1 must not end: the kernel would panic without a word. Say why, and reset. */
static void on_crash(int signal) {
  static const char text[] = "kestrel: crashed\n";
  int fd = open("/dev/console", O_WRONLY | O_NOCTTY);
  if (fd < 0 || write(fd, text, sizeof text - 1) < 0 || signal == 0) {
    errno = 0;
  }
  sync();
  reboot(RB_AUTOBOOT);
  for (;;) {
    pause();
  }
}

void boot_machine(int argc, char **argv) {
  if (getpid() != 1 && argc == 4 && strcmp(argv[1], "member") == 0) {
    boot_member(argv[2], strcmp(argv[3], "ipc") == 0);
    return;
  }
  static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
  for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) {
    signal(fatal[i], on_crash);
  }
  umask(022);
  mount_basics();
  load_modules();
  struct failure failure;
  keep_failure(&failure);
  if (make_dev() != 0) {
    console_say("kestrel: %s", failure.text);
    on_crash(0);
  }
  ready_network();
  keep_failure(NULL);
  /* Before anybody asks, for all clones of a template. Where it fails, PREPARE tries it again. */
  dns_start();
  oom_watch(machine_out_of_memory);
  listener_events_open();
  look_for_port(&port_timer);
}

#endif
