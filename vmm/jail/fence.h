/* What the launchers of this folder have in common: share.c fences virtiofsd in, machine.c fences QEMU in. */
#ifndef FENCE_H
#define FENCE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <stdint.h>

enum { EX_REFUSED = 71 };

/* Calls of kernels that may be newer than the headers of this system. */
#define NR_CLOSE_RANGE 436
#define NR_LANDLOCK_CREATE_RULESET 444
#define NR_LANDLOCK_ADD_RULE 445
#define NR_LANDLOCK_RESTRICT_SELF 446

/* Hidden where it becomes part of a library (vmm/preload). */
#pragma GCC visibility push(hidden)

/* common.c: ends this process with EX_REFUSED and says why on stderr. */
void refuse(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void close_from(unsigned first);
/* A unix socket as descriptor `fd`, that listens at a path or is connected to it. */
void listen_at(const char *path, int fd);
void connect_to(const char *path, int fd);
/* No core dumps, no new privileges. */
void give_up_gaining(void);
/* No capability, now or after an exec; of use to root only. */
void drop_capabilities(void);

/* landlock.c: rights of its ABI 1, and those that later ones added. */
enum {
  FS_EXECUTE = 1 << 0,
  FS_WRITE_FILE = 1 << 1,
  FS_READ_FILE = 1 << 2,
  FS_READ_DIR = 1 << 3,
  FS_REMOVE_FILE = 1 << 5,
  FS_MAKE_REG = 1 << 8,
  FS_MAKE_SOCK = 1 << 9,
  FS_REFER = 1 << 13,
  FS_TRUNCATE = 1 << 14,
  FS_IOCTL_DEV = 1 << 15,
};

struct ruleset {
  uint64_t fs, net, scoped;
  int abi, fd;
};

/* A path, with what is beneath it, and what may be done there: rights of above. */
struct path_right {
  const char *path;
  uint64_t rights;
};

/* What QEMU reads of the system; the last has no path. Of /proc it needs /proc/self as well. */
extern const struct path_right system_rights[];

/* Everything that this kernel can refuse is refused until it is allowed; `abi` is 0 where it has no Landlock, -1 with errno if it failed. */
struct ruleset landlock_begin(void);
/* Allows what the kernel knows of `rights` beneath a path, if that exists. False, with errno, if it could not be added. */
bool landlock_allow(const struct ruleset *rules, const char *path, uint64_t rights);
/* What QEMU reads of the system, and of its own process: /proc/self, or the given folder. */
void landlock_allow_system(const struct ruleset *rules, const char *proc);
/* False with errno if it failed. */
bool landlock_enter(struct ruleset *rules);

/* view.c: a mount namespace of its own, for a plain user in a user namespace in which the ids stay the same, or in which it is user 0.
 * False with errno. */
bool own_mounts(bool as_root);
/* Flags of the mount that a path is on: in a user namespace they can be added to, but not taken away. */
unsigned long mount_flags(const char *path);
/* After own_mounts: `place` is `folder` with all that is mounted below it, and none of it can be written. False with errno. */
bool bind_read_only(const char *folder, const char *place);
/* After own_mounts: a root in which there is what these rights name and nothing else, and what may not be written is read-only. NULL, or what failed, with errno. */
const char *view_enter(const struct path_right *rights, int count);

/* calls.c: an allow-list of system calls for QEMU. `path` is the only program that may be started; it is moved to where it has to be. */
const char *filter_calls(const char *path, bool copies);

/* pass.c: 0, or it ends with EX_REFUSED. Descriptor 3 is the monitor, 4 what is passed. */
int pass_descriptor(const char *command);

#pragma GCC visibility pop

#endif
