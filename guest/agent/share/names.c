#include "share/names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "share/entry.h"
#include "share/nodes.h"
#include "share/owner.h"

static int open_parent(uint64_t node) { return node_open(node, O_PATH | O_DIRECTORY); }

/* Answers with what the name stands for, and closes the folder. */
static int answer_name(struct call *call, int folder, const char *name) {
  struct stat st;
  int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), error = errno;
  close(folder);
  if (fd < 0) {
    return error;
  }
  uint64_t node = node_of(fd, &st);
  error = errno;
  close(fd);
  if (node == 0) {
    return error;
  }
  answer_entry(call, node, &st);
  return 0;
}

int find_name(struct call *call) {
  const char *name = call_name(call);
  int folder = name == NULL ? -1 : open_parent(call->node);
  return name == NULL ? EINVAL : folder < 0 ? errno : answer_name(call, folder, name);
}

/* What `make` returned, with errno as it left it. */
static int made(struct call *call, int folder, const char *name, int result) {
  int error = errno;
  owner_return();
  if (result != 0) {
    close(folder);
    return error;
  }
  return answer_name(call, folder, name);
}

int make_node(struct call *call) {
  struct fuse_mknod_in in;
  const char *name;
  if (!call_take(call, &in, sizeof in) || (name = call_name(call)) == NULL) {
    return EINVAL;
  }
  if (!S_ISREG(in.mode) && !S_ISFIFO(in.mode) && !S_ISSOCK(in.mode)) {
    /* A device would be one of the machine that has the volume. */
    return EPERM;
  }
  int folder = open_parent(call->node);
  if (folder < 0) {
    return errno;
  }
  owner_take(call, in.umask);
  return made(call, folder, name, mknodat(folder, name, in.mode, 0));
}

int make_folder(struct call *call) {
  struct fuse_mkdir_in in;
  const char *name;
  if (!call_take(call, &in, sizeof in) || (name = call_name(call)) == NULL) {
    return EINVAL;
  }
  int folder = open_parent(call->node);
  if (folder < 0) {
    return errno;
  }
  owner_take(call, in.umask);
  return made(call, folder, name, mkdirat(folder, name, in.mode & 07777));
}

int make_symbolic_link(struct call *call) {
  const char *name = call_name(call), *target = call_text(call);
  if (name == NULL || target == NULL) {
    return EINVAL;
  }
  int folder = open_parent(call->node);
  if (folder < 0) {
    return errno;
  }
  owner_take(call, 0);
  return made(call, folder, name, symlinkat(target, folder, name));
}

int make_link(struct call *call) {
  struct fuse_link_in in;
  const char *name;
  if (!call_take(call, &in, sizeof in) || (name = call_name(call)) == NULL) {
    return EINVAL;
  }
  int from = node_open(in.oldnodeid, O_PATH);
  if (from < 0) {
    return errno;
  }
  int folder = open_parent(call->node), error = errno;
  if (folder >= 0) {
    int result = linkat(from, "", folder, name, AT_EMPTY_PATH);
    error = made(call, folder, name, result);
  }
  close(from);
  return error;
}

int read_symbolic_link(struct call *call) {
  int fd = node_open(call->node, O_PATH);
  ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", (char *)call->out, PATH_MAX);
  int error = n < 0 ? errno : 0;
  call->out_length = n < 0 ? 0 : (size_t)n;
  if (fd >= 0) {
    close(fd);
  }
  return error;
}

static int take_away(struct call *call, int flags) {
  const char *name = call_name(call);
  int folder = name == NULL ? -1 : open_parent(call->node);
  if (folder < 0) {
    return name == NULL ? EINVAL : errno;
  }
  int error = unlinkat(folder, name, flags) == 0 ? 0 : errno;
  close(folder);
  return error;
}

int remove_name(struct call *call) { return take_away(call, 0); }
int remove_folder(struct call *call) { return take_away(call, AT_REMOVEDIR); }

int rename_name(struct call *call) {
  struct fuse_rename2_in in = {0};
  bool second = call->opcode == FUSE_RENAME2;
  const char *from, *to;
  if (!call_take(call, &in, second ? sizeof in : sizeof(struct fuse_rename_in)) || (from = call_name(call)) == NULL || (to = call_name(call)) == NULL ||
      (in.flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) {
    return EINVAL;
  }
  int folder = open_parent(call->node), target = folder < 0 ? -1 : open_parent(in.newdir);
  int error = target < 0 ? errno : renameat2(folder, from, target, to, in.flags) == 0 ? 0 : errno;
  if (folder >= 0) {
    close(folder);
  }
  if (target >= 0) {
    close(target);
  }
  return error;
}
