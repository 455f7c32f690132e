/*
 * PID 1 of an outer host (host.ts): the root folder of this host, shared read-only by virtiofs, with a tmpfs over it. Runs what follows `--` on
 * the kernel's command line with its output on the console, says how it ended, and powers off.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int result, const char *what) {
  if (result != 0) {
    perror(what);
    sync();
    reboot(RB_POWER_OFF);
  }
}

static void load_modules(void) {
  FILE *list = fopen("/modules.load", "r");
  char line[256];
  while (list != NULL && fgets(line, sizeof line, list) != NULL) {
    line[strcspn(line, "\n")] = 0;
    int fd = open(line, O_RDONLY);
    if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0) {
      perror(line);
    }
    close(fd);
  }
}

static void system_mounts(void) {
  must(mount("proc", "proc", "proc", 0, NULL), "proc");
  must(mount("sys", "sys", "sysfs", 0, NULL), "sys");
  must(mount("dev", "dev", "devtmpfs", 0, NULL), "dev");
}

int main(int argc, char **argv) {
  (void)argc;
  mkdir("/proc", 0755), mkdir("/sys", 0755), mkdir("/lower", 0755), mkdir("/rw", 0755), mkdir("/new", 0755);
  must(chdir("/"), "/");
  system_mounts();
  load_modules();
  must(mount("root", "/lower", "virtiofs", MS_RDONLY, NULL), "virtiofs");
  must(mount("rw", "/rw", "tmpfs", 0, "size=75%"), "tmpfs");
  mkdir("/rw/upper", 0755), mkdir("/rw/work", 0755);
  must(mount("root", "/new", "overlay", 0, "lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work"), "overlay");
  must(chdir("/new"), "/new");
  system_mounts();
  must(mount("run", "run", "tmpfs", 0, "mode=755"), "run");
  must(mount(".", "/", NULL, MS_MOVE, NULL), "root");
  must(chroot("."), "chroot");
  must(chdir("/"), "/");
  mkdir("/dev/pts", 0755), mkdir("/dev/shm", 01777);
  mount("pts", "/dev/pts", "devpts", 0, NULL), mount("shm", "/dev/shm", "tmpfs", 0, NULL);
  pid_t child = fork();
  if (child == 0) {
    setsid();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1), setenv("HOME", "/root", 1);
    execv(argv[1], &argv[1]);
    perror(argv[1]);
    _exit(127);
  }
  int status = 0;
  for (pid_t ended = 0; ended != child;) {
    ended = wait(&status);
  }
  printf("\nouter host: ended with %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  fflush(stdout);
  sync();
  reboot(RB_POWER_OFF);
}
