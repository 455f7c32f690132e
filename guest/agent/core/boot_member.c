#include "core/boot_member.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/accept_hosts.h"
#include "handlers/machine_state.h"
#include "lib/console.h"
#include "lib/failure.h"
#include "lib/member.h"
#include "lib/paths.h"
#include "process/members.h"
#include "process/oom.h"
#include "setup/dev.h"

/* Nothing of the machine's own service is held or seen from here on: its disks must be free when it ends. The control group
 * takes the place of the machine's, so that all paths are the same. */
static int leave_mounts(const char *name) {
  char group[64];
  snprintf(group, sizeof group, "/sys/fs/cgroup/member-%s", name);
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || umount2(SYSROOT, MNT_DETACH) != 0 || umount2(PRIVATE, MNT_DETACH) != 0 ||
      mount("tmpfs", PRIVATE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") != 0 || mount(group, "/sys/fs/cgroup", NULL, MS_BIND, NULL) != 0) {
    return fail(REASON_MACHINE, "leaving the machine's mounts: %s", strerror(errno));
  }
  return 0;
}

/* The shared memory of the machine's service, to be had without its mounts. */
static int take_memory(void) { return (int)syscall(SYS_open_tree, AT_FDCWD, SYSROOT "/dev/shm", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC); }

static int place_memory(int memory) {
  int result = (int)syscall(SYS_move_mount, memory, "", AT_FDCWD, PRIVATE "/dev/shm", 4 /* MOVE_MOUNT_F_EMPTY_PATH */);
  return result == 0 ? 0 : fail(REASON_MACHINE, "sharing /dev/shm: %s", strerror(errno));
}

void boot_member(const char *name, bool shares_ipc) {
  struct failure failure;
  is_member = true;
  umask(022);
  fcntl(MEMBER_FD, F_SETFD, FD_CLOEXEC);
  keep_failure(&failure);
  int memory = shares_ipc ? take_memory() : -1;
  if (leave_mounts(name) != 0 || make_dev() != 0 || (shares_ipc && place_memory(memory) != 0)) {
    console_say("kestrel: member %s: %s", name, failure.text);
    exit(1);
  }
  keep_failure(NULL);
  close(memory);
  oom_watch(machine_out_of_memory);
  machine_booted(0);
  accept_hosts(MEMBER_FD);
}
