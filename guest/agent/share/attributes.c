#include "share/attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "fs/rooted.h"
#include "share/entry.h"
#include "share/files.h"
#include "share/nodes.h"

static int answer_attributes(struct call *call, int fd) {
  struct stat st;
  struct fuse_attr_out out = {0};
  if (fstat(fd, &st) != 0) {
    return errno;
  }
  out.attr = attributes_of(&st);
  call_add(call, &out, sizeof out);
  return 0;
}

/* A descriptor to be closed: of the node, or where that is gone from its folders, of who has it open. */
static int open_any(uint64_t node) {
  int fd = node_open(node, O_PATH);
  if (fd < 0 && errno == ESTALE) {
    int open = file_of_node(node);
    fd = open < 0 ? -1 : fcntl(open, F_DUPFD_CLOEXEC, 0);
    errno = fd < 0 ? ESTALE : 0;
  }
  return fd;
}

int get_attributes(struct call *call) {
  int fd = open_any(call->node);
  if (fd < 0) {
    return errno;
  }
  int error = answer_attributes(call, fd);
  close(fd);
  return error;
}

static struct timespec time_of(uint32_t valid, uint32_t set, uint32_t now, uint64_t seconds, uint32_t part) {
  return valid & now ? (struct timespec){0, UTIME_NOW} : valid & set ? (struct timespec){(time_t)seconds, (long)part} : (struct timespec){0, UTIME_OMIT};
}

/* Owner before mode: a change of owner takes bits of the mode away. */
static int change(int fd, const struct fuse_setattr_in *in) {
  char path[FD_PATH];
  fd_path(fd, path);
  uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
  gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;
  if (in->valid & (FATTR_UID | FATTR_GID) && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) != 0) {
    return errno;
  }
  if (in->valid & FATTR_MODE && chmod(path, in->mode & 07777) != 0) {
    return errno;
  }
  if (in->valid & FATTR_SIZE) {
    int open = in->valid & FATTR_FH ? file_of(in->fh) : -1;
    if ((open >= 0 ? ftruncate(open, (off_t)in->size) : truncate(path, (off_t)in->size)) != 0) {
      return errno;
    }
  }
  if (in->valid & (FATTR_ATIME | FATTR_MTIME)) {
    struct timespec times[2] = {time_of(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
                                time_of(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec)};
    return utimensat(AT_FDCWD, path, times, 0) == 0 ? 0 : errno;
  }
  return 0;
}

int set_attributes(struct call *call) {
  struct fuse_setattr_in in;
  if (!call_take(call, &in, sizeof in)) {
    return EINVAL;
  }
  int fd = open_any(call->node);
  if (fd < 0) {
    return errno;
  }
  int error = change(fd, &in);
  error = error == 0 ? answer_attributes(call, fd) : error;
  close(fd);
  return error;
}

int get_usage(struct call *call) {
  struct statvfs st;
  int fd = node_open(FUSE_ROOT_ID, O_RDONLY);
  if (fd < 0 || fstatvfs(fd, &st) != 0) {
    int error = errno;
    close(fd);
    return error;
  }
  close(fd);
  struct fuse_statfs_out out = {.st = {.blocks = st.f_blocks,
                                       .bfree = st.f_bfree,
                                       .bavail = st.f_bavail,
                                       .files = st.f_files,
                                       .ffree = st.f_ffree,
                                       .bsize = (uint32_t)st.f_bsize,
                                       .namelen = (uint32_t)st.f_namemax,
                                       .frsize = (uint32_t)st.f_frsize}};
  call_add(call, &out, sizeof out);
  return 0;
}

/* Size 0 asks how much room it takes. */
static int answer_extended(struct call *call, uint32_t asked, ssize_t n) {
  struct fuse_getxattr_out out = {.size = n < 0 ? 0 : (uint32_t)n};
  if (n < 0) {
    return errno;
  }
  if (asked == 0) {
    call_add(call, &out, sizeof out);
  } else {
    call->out_length = (size_t)n;
  }
  return 0;
}

/* Calls for extended attributes take no descriptor that was opened with O_PATH, but its path. */
static int read_extended(struct call *call, bool list) {
  struct fuse_getxattr_in in;
  const char *name = "";
  char path[FD_PATH];
  if (!call_take(call, &in, sizeof in) || in.size > MAX_TRANSFER || (!list && (name = call_text(call)) == NULL)) {
    return EINVAL;
  }
  int fd = open_any(call->node);
  if (fd < 0) {
    return errno;
  }
  fd_path(fd, path);
  char *out = (char *)call->out;
  ssize_t n = list ? listxattr(path, out, in.size) : getxattr(path, name, out, in.size);
  int error = answer_extended(call, in.size, n);
  close(fd);
  return error;
}

int get_extended(struct call *call) { return read_extended(call, false); }
int list_extended(struct call *call) { return read_extended(call, true); }

static int write_extended(struct call *call, bool removed) {
  struct {
    uint32_t size, flags;
  } in = {0, 0};
  const char *name;
  char path[FD_PATH];
  if ((!removed && !call_take(call, &in, FUSE_COMPAT_SETXATTR_IN_SIZE)) || (name = call_text(call)) == NULL || in.size > (size_t)(call->end - call->at)) {
    return EINVAL;
  }
  int fd = open_any(call->node);
  if (fd < 0) {
    return errno;
  }
  fd_path(fd, path);
  int result = removed ? removexattr(path, name) : setxattr(path, name, call->at, in.size, (int)in.flags);
  int error = result == 0 ? 0 : errno;
  close(fd);
  return error;
}

int set_extended(struct call *call) { return write_extended(call, false); }
int remove_extended(struct call *call) { return write_extended(call, true); }
