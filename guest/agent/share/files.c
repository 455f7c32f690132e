#include "share/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/fuse.h>

#include "share/entry.h"
#include "share/nodes.h"
#include "share/owner.h"

enum { MAX_OPEN = 8192, KEPT_FLAGS = O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC };

static struct {
  int fd;
  uint64_t node;
} table[MAX_OPEN];
/* Entries below this were used; the others are all zero, so that memory is taken only for what is open. */
static size_t used;

int file_of(uint64_t number) {
  if (number == 0 || number > used || table[number - 1].node == 0) {
    errno = EBADF;
    return -1;
  }
  return table[number - 1].fd;
}

int file_of_node(uint64_t node) {
  for (size_t i = 0; i < used; i++) {
    if (table[i].node == node) {
      return table[i].fd;
    }
  }
  return -1;
}

/* Keeps an open descriptor; 0 with errno when there are too many. */
static uint64_t keep(int fd, uint64_t node) {
  size_t i = 0;
  while (i < used && table[i].node != 0) {
    i++;
  }
  if (i == MAX_OPEN) {
    close(fd);
    errno = ENFILE;
    return 0;
  }
  used = i == used ? used + 1 : used;
  table[i].fd = fd, table[i].node = node;
  return i + 1;
}

static int answer_open(struct call *call, int fd, uint64_t node, uint32_t how) {
  struct fuse_open_out out = {.open_flags = how};
  out.fh = keep(fd, node);
  if (out.fh == 0) {
    return errno;
  }
  call_add(call, &out, sizeof out);
  return 0;
}

int open_file(struct call *call) {
  struct fuse_open_in in;
  struct stat st;
  if (!call_take(call, &in, sizeof in)) {
    return EINVAL;
  }
  int fd = node_open(call->node, (int)in.flags & KEPT_FLAGS);
  if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
    close(fd);
    return EISDIR;
  }
  /* The borrower's kernel keeps nothing of it: what one machine writes the other one reads. */
  return fd < 0 ? errno : answer_open(call, fd, call->node, FOPEN_DIRECT_IO);
}

int open_folder(struct call *call) {
  int fd = node_open(call->node, O_RDONLY | O_DIRECTORY);
  return fd < 0 ? errno : answer_open(call, fd, call->node, 0);
}

int create_file(struct call *call) {
  struct fuse_create_in in;
  struct stat st;
  const char *name;
  if (!call_take(call, &in, sizeof in) || (name = call_name(call)) == NULL) {
    return EINVAL;
  }
  int folder = node_open(call->node, O_PATH | O_DIRECTORY);
  if (folder < 0) {
    return errno;
  }
  /* Not to wait for a pipe that came to be there meanwhile. */
  int flags = ((int)in.flags & (KEPT_FLAGS | O_EXCL | O_TRUNC)) | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  owner_take(call, in.umask);
  int fd = openat(folder, name, flags, in.mode & 07777);
  int error = errno;
  owner_return();
  close(folder);
  if (fd < 0) {
    return error;
  }
  uint64_t node = node_of(fd, &st);
  if (node == 0 || !S_ISREG(st.st_mode)) {
    error = node == 0 ? errno : ENXIO;
    close(fd);
    return error;
  }
  answer_entry(call, node, &st);
  return answer_open(call, fd, node, FOPEN_DIRECT_IO);
}

int release_file(struct call *call) {
  struct fuse_release_in in;
  int fd = call_take(call, &in, sizeof in) ? file_of(in.fh) : -1;
  if (fd < 0) {
    return EBADF;
  }
  table[in.fh - 1].node = 0;
  close(fd);
  return 0;
}

int read_file(struct call *call) {
  struct fuse_read_in in;
  if (!call_take(call, &in, sizeof in) || in.size > MAX_TRANSFER) {
    return EINVAL;
  }
  int fd = file_of(in.fh);
  ssize_t n = fd < 0 ? -1 : pread(fd, call->out, in.size, (off_t)in.offset);
  call->out_length = n < 0 ? 0 : (size_t)n;
  return n < 0 ? errno : 0;
}

/* As the kernel does for who may not keep these bits: they mean the owner's rights for what somebody else wrote. */
static void drop_set_id(int fd) {
  struct stat st;
  if (fstat(fd, &st) != 0) {
    return;
  }
  mode_t gone = (st.st_mode & S_ISUID) | (st.st_mode & S_IXGRP ? st.st_mode & S_ISGID : 0);
  if (gone != 0 && fchmod(fd, st.st_mode & 07777 & ~gone) != 0) {
    errno = 0;
  }
}

int write_file_part(struct call *call) {
  struct fuse_write_in in;
  if (!call_take(call, &in, sizeof in) || in.size > (size_t)(call->end - call->at) || in.size > MAX_TRANSFER) {
    return EINVAL;
  }
  int fd = file_of(in.fh);
  if (fd < 0) {
    return errno;
  }
  /* The end of the file is known here only: with O_APPEND the offset means nothing. */
  int flags = fcntl(fd, F_GETFL);
  if (((uint32_t)flags ^ in.flags) & O_APPEND) {
    fcntl(fd, F_SETFL, (flags & ~O_APPEND) | ((int)in.flags & O_APPEND));
  }
  if (in.write_flags & FUSE_WRITE_KILL_SUIDGID) {
    drop_set_id(fd);
  }
  ssize_t n = pwrite(fd, call->at, in.size, (off_t)in.offset);
  struct fuse_write_out out = {.size = n < 0 ? 0 : (uint32_t)n};
  if (n < 0) {
    return errno;
  }
  call_add(call, &out, sizeof out);
  return 0;
}

/* As getdents64 gives it. */
struct entry {
  uint64_t inode;
  int64_t next;
  uint16_t length;
  uint8_t type;
  char name[];
};

static bool add_entry(struct call *call, const struct entry *entry, size_t limit) {
  static const uint8_t nothing[8];
  struct fuse_dirent out = {.ino = entry->inode, .off = (uint64_t)entry->next, .namelen = (uint32_t)strlen(entry->name), .type = entry->type};
  size_t size = FUSE_NAME_OFFSET + out.namelen, padding = FUSE_REC_ALIGN(size) - size;
  if (call->out_length + size + padding > limit) {
    return false;
  }
  call_add(call, &out, FUSE_NAME_OFFSET);
  call_add(call, entry->name, out.namelen);
  call_add(call, nothing, padding);
  return true;
}

int read_folder(struct call *call) {
  static _Alignas(8) uint8_t entries[32768];
  struct fuse_read_in in;
  if (!call_take(call, &in, sizeof in) || in.size > MAX_TRANSFER) {
    return EINVAL;
  }
  int fd = file_of(in.fh);
  if (fd < 0 || lseek(fd, (off_t)in.offset, SEEK_SET) < 0) {
    return errno;
  }
  /* One batch: an entry of ours is never smaller than the kernel's, so that more would seldom fit. */
  long n = syscall(SYS_getdents64, fd, entries, in.size < sizeof entries ? in.size : sizeof entries);
  if (n < 0) {
    return errno;
  }
  for (long at = 0; at < n;) {
    const struct entry *entry = (const struct entry *)(const void *)(entries + at);
    if (!add_entry(call, entry, in.size)) {
      break;
    }
    at += entry->length;
  }
  return 0;
}

int sync_file(struct call *call) {
  struct fuse_fsync_in in;
  int fd = call_take(call, &in, sizeof in) ? file_of(in.fh) : -1;
  if (fd < 0) {
    return EBADF;
  }
  int result = in.fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(fd) : fsync(fd);
  return result == 0 ? 0 : errno;
}

int allocate_file(struct call *call) {
  enum { KNOWN = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE };
  struct fuse_fallocate_in in;
  int fd = call_take(call, &in, sizeof in) ? file_of(in.fh) : -1;
  if (fd < 0) {
    return EBADF;
  }
  if (in.mode & ~(uint32_t)KNOWN) {
    return EOPNOTSUPP;
  }
  return fallocate(fd, (int)in.mode, (off_t)in.offset, (off_t)in.length) == 0 ? 0 : errno;
}

int seek_file(struct call *call) {
  struct fuse_lseek_in in;
  int fd = call_take(call, &in, sizeof in) ? file_of(in.fh) : -1;
  if (fd < 0) {
    return EBADF;
  }
  if (in.whence != SEEK_DATA && in.whence != SEEK_HOLE) {
    return EINVAL;
  }
  off_t at = lseek(fd, (off_t)in.offset, (int)in.whence);
  struct fuse_lseek_out out = {(uint64_t)at};
  if (at < 0) {
    return errno;
  }
  call_add(call, &out, sizeof out);
  return 0;
}
