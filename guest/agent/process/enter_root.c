#include "process/enter_root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/paths.h"
#include "step/step_mounts.h"

/* A privileged container sees all devices of its machine. */
static void add_devices(void) {
  DIR *dir = opendir("/dev");
  struct dirent *entry;
  int to = open(SYSROOT "/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (dir != NULL && to >= 0 && (entry = readdir(dir)) != NULL) {
    struct stat st;
    bool device = fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode));
    if (device && mknodat(to, entry->d_name, st.st_mode, st.st_rdev) != 0) {
      errno = 0;
    }
  }
  if (dir != NULL) {
    closedir(dir);
  }
  if (to >= 0) {
    close(to);
  }
}

/* A step without network has loopback and nothing else. */
static int isolate_network(void) {
  struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int fd = unshare(CLONE_NEWNET) == 0 ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
  int result = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &lo);
  if (fd >= 0) {
    close(fd);
  }
  return result;
}

/* Its usage and out-of-memory kills are counted there. */
static bool join_cgroup(void) {
  int fd = open("/sys/fs/cgroup/work/cgroup.procs", O_WRONLY | O_CLOEXEC);
  bool joined = fd >= 0 && write(fd, "0", 1) == 1;
  if (fd >= 0) {
    close(fd);
  }
  return joined;
}

/* What runc keeps from containers, steps of BuildKit among them: these can only be read, */
static const char *const sealed[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger", NULL};
/* and these are empty. */
static const char *const masked[] = {"proc/acpi",       "proc/asound",      "proc/interrupts", "proc/kcore",  "proc/keys",    "proc/latency_stats",
                                     "proc/sched_debug", "proc/scsi",        "proc/timer_list", "proc/timer_stats", "sys/firmware",
                                     "sys/devices/virtual/powercap", NULL};

static bool seal(const char *path) {
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
  return mount(path, path, NULL, MS_BIND | MS_REC, NULL) == 0 && mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | flags, NULL) == 0;
}

static bool mask(const char *path) {
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
  return mount("/dev/null", path, NULL, MS_BIND, NULL) == 0 || (errno == ENOTDIR && mount("tmpfs", path, "tmpfs", flags, "nr_inodes=1") == 0);
}

/* What this kernel does not have needs no cover. */
static void cover(const struct launch *l, const char *const *paths, bool (*how)(const char *)) {
  for (; *paths != NULL; paths++) {
    if (!how(*paths) && errno != ENOENT) {
      launch_refuse(l->status, REASON_MACHINE, "covering /%s: %s", *paths, strerror(errno));
    }
  }
  errno = 0;
}

static void mount_views(const struct launch *l) {
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  unsigned long limited = l->spec->privileged ? flags : flags | MS_RDONLY;
  if (mount("proc", "proc", "proc", flags, NULL) != 0 || mount("sysfs", "sys", "sysfs", limited, NULL) != 0) {
    launch_refuse(l->status, REASON_MACHINE, "mounting /proc and /sys: %s", strerror(errno));
  }
  if (mount("cgroup", "sys/fs/cgroup", "cgroup2", limited, "nsdelegate") != 0) {
    errno = 0;
  }
  if (!l->spec->privileged) {
    cover(l, sealed, seal);
    cover(l, masked, mask);
  }
}

void enter_new_root(const struct launch *l) {
  /* Before /sys is mounted, which shows the network namespace of the process that mounts it. */
  if (l->spec->isolated && isolate_network() != 0) {
    launch_refuse(l->status, REASON_MACHINE, "leaving the network: %s", strerror(errno));
  }
  if (join_cgroup()) {
    unshare(CLONE_NEWCGROUP);
  }
  if (l->spec->privileged) {
    add_devices();
  }
  if (mount(NULL, "/", NULL, MS_REC | (l->prestarted ? MS_SLAVE : MS_PRIVATE), NULL) != 0) {
    launch_refuse(l->status, REASON_MACHINE, "entering the root: %s", strerror(errno));
  }
  const char *error = step_mount_all(l->spec->mounts, l->spec->mount_count);
  if (error != NULL) {
    launch_refuse(l->status, REASON_STEP, "%s", error);
  }
  if (chdir(SYSROOT) != 0) {
    launch_refuse(l->status, REASON_MACHINE, "entering the root: %s", strerror(errno));
  }
  mount_views(l);
  if (mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0) {
    launch_refuse(l->status, REASON_MACHINE, "entering the root: %s", strerror(errno));
  }
}

void join_workload(const struct launch *l) {
  join_cgroup();
  if (setns(l->cgroup_ns, CLONE_NEWCGROUP) != 0 || setns(l->mnt_ns, CLONE_NEWNS) != 0 || chdir("/") != 0) {
    launch_refuse(l->status, REASON_OUT_OF_TURN, "the workload has just ended");
  }
}
