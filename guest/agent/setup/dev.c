#include "setup/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/rooted.h"
#include "lib/failure.h"
#include "lib/overlay.h"
#include "lib/paths.h"

#define DEV PRIVATE "/dev"

static int make_node(int dev, const char *name, unsigned major, unsigned minor, mode_t mode) {
  return mknodat(dev, name, S_IFCHR | mode, makedev(major, minor)) == 0 || errno == EEXIST ? 0 : -1;
}

static int mount_in(const char *path, const char *type, unsigned long flags, const char *options) {
  return mkdir(path, 0755) != 0 || mount(type, path, type, flags, options) != 0 ? fail(REASON_MACHINE, "mounting %s: %s", path, strerror(errno)) : 0;
}

/* The devices of KVM are its drivers' own numbers (Linux, Documentation/admin-guide/devices.txt). */
#define MISC_MAJOR 10
#define KVM_MINOR 232

/* Where the machine may run machines itself, everybody in it may: it is theirs alone. */
static bool make_kvm(int dev) { return access("/dev/kvm", F_OK) != 0 || make_node(dev, "kvm", MISC_MAJOR, KVM_MINOR, 0666) == 0; }

int make_dev(void) {
  const unsigned long flags = MS_NOSUID | MS_NOEXEC;
  if (mount_in(DEV, "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k") != 0) {
    return -1;
  }
  int dev = open(DEV, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  mode_t mask = umask(0);
  bool ok = make_node(dev, "null", 1, 3, 0666) == 0 && make_node(dev, "zero", 1, 5, 0666) == 0 && make_node(dev, "full", 1, 7, 0666) == 0 &&
            make_node(dev, "random", 1, 8, 0666) == 0 && make_node(dev, "urandom", 1, 9, 0666) == 0 && make_node(dev, "tty", 5, 0, 0666) == 0 && make_kvm(dev);
  static const char *const links[][2] = {{"pts/ptmx", "ptmx"}, {"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"},
                                         {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"/proc/kcore", "core"}};
  for (size_t i = 0; ok && i < sizeof links / sizeof *links; i++) {
    ok = symlinkat(links[i][0], dev, links[i][1]) == 0;
  }
  umask(mask);
  close(dev);
  if (!ok) {
    return fail(REASON_MACHINE, "filling /dev: %s", strerror(errno));
  }
  return mount_in(DEV "/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620,gid=5") == 0 &&
                 mount_in(DEV "/shm", "tmpfs", flags | MS_NODEV, "mode=1777,size=65536k") == 0 &&
                 mount_in(DEV "/mqueue", "mqueue", flags | MS_NODEV, NULL) == 0
             ? 0
             : -1;
}

int place_dev(int root) {
  char target[FD_PATH];
  int fd = rooted_make(root, "/dev", true, 0755, remember_created);
  int result = fd < 0 ? -1 : mount(DEV, fd_path(fd, target), NULL, MS_MOVE, NULL);
  if (result != 0) {
    fail(REASON_MACHINE, "mounting /dev: %s", strerror(errno));
  }
  if (fd >= 0) {
    close(fd);
  }
  return result;
}
