#include "share/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "share/files.h"
#include "share/nodes.h"

enum { MAX_OWNERS = 1024, MAX_WAITING = 128 };

/* One for each file and owner with locks by fcntl, or that had some and has the file open. */
static struct {
  uint64_t node, owner;
  int fd;
} owners[MAX_OWNERS];
static size_t owner_count;

static struct {
  uint64_t unique, node;
  struct fuse_lk_in in;
} waiting[MAX_WAITING];
static size_t waiting_count;

static size_t find_owner(uint64_t node, uint64_t owner) {
  size_t i = 0;
  while (i < owner_count && (owners[i].node != node || owners[i].owner != owner)) {
    i++;
  }
  return i;
}

static int open_to_lock(uint64_t node) {
  int fd = node_open(node, O_RDWR);
  return fd < 0 && (errno == EROFS || errno == EISDIR) ? node_open(node, O_RDONLY) : fd;
}

/* The descriptor for the locks of an owner, or -1 with errno. */
static int owner_file(uint64_t node, uint64_t owner) {
  size_t i = find_owner(node, owner);
  if (i < owner_count) {
    return owners[i].fd;
  }
  if (owner_count == MAX_OWNERS) {
    errno = ENOLCK;
    return -1;
  }
  int fd = open_to_lock(node);
  if (fd >= 0) {
    owners[owner_count].node = node, owners[owner_count].owner = owner, owners[owner_count].fd = fd;
    owner_count++;
  }
  return fd;
}

static bool range_of(const struct fuse_lk_in *in, struct flock *out) {
  const struct fuse_file_lock *lk = &in->lk;
  if (lk->start > INT64_MAX || lk->end > INT64_MAX || lk->start > lk->end || (lk->type != F_RDLCK && lk->type != F_WRLCK && lk->type != F_UNLCK)) {
    return false;
  }
  *out = (struct flock){.l_type = (short)lk->type, .l_whence = SEEK_SET, .l_start = (off_t)lk->start};
  out->l_len = lk->end == INT64_MAX ? 0 : (off_t)(lk->end - lk->start + 1);
  return true;
}

static int try_flock(const struct fuse_lk_in *in) {
  int fd = file_of(in->fh);
  int kind = in->lk.type == F_RDLCK ? LOCK_SH : in->lk.type == F_WRLCK ? LOCK_EX : LOCK_UN;
  return fd >= 0 && flock(fd, kind | LOCK_NB) == 0 ? 0 : errno;
}

/* 0, EAGAIN where somebody else has it, or another errno. */
static int try_lock(uint64_t node, const struct fuse_lk_in *in) {
  struct flock range;
  if (in->lk_flags & FUSE_LK_FLOCK) {
    return try_flock(in);
  }
  if (!range_of(in, &range)) {
    return EINVAL;
  }
  if (range.l_type == F_UNLCK && find_owner(node, in->owner) == owner_count) {
    return 0;
  }
  int fd = owner_file(node, in->owner);
  int error = fd >= 0 && fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : errno;
  return error == EACCES ? EAGAIN : error;
}

int test_lock(struct call *call) {
  struct fuse_lk_in in;
  struct flock range;
  struct fuse_lk_out out = {0};
  if (!call_take(call, &in, sizeof in) || !range_of(&in, &range)) {
    return EINVAL;
  }
  size_t i = find_owner(call->node, in.owner);
  int fd = i < owner_count ? owners[i].fd : open_to_lock(call->node);
  int error = fd >= 0 && fcntl(fd, F_OFD_GETLK, &range) == 0 ? 0 : errno;
  if (i == owner_count && fd >= 0) {
    close(fd);
  }
  if (error != 0) {
    return error;
  }
  out.lk = in.lk;
  out.lk.type = (uint32_t)range.l_type, out.lk.pid = 0;
  if (range.l_type != F_UNLCK) {
    out.lk.start = (uint64_t)range.l_start;
    out.lk.end = range.l_len == 0 ? INT64_MAX : (uint64_t)(range.l_start + range.l_len - 1);
  }
  call_add(call, &out, sizeof out);
  return 0;
}

int set_lock(struct call *call) {
  struct fuse_lk_in in;
  if (!call_take(call, &in, sizeof in)) {
    return EINVAL;
  }
  int error = try_lock(call->node, &in);
  if (error != EAGAIN || call->opcode != FUSE_SETLKW) {
    return error;
  }
  if (waiting_count == MAX_WAITING) {
    return ENOLCK;
  }
  waiting[waiting_count].unique = call->unique, waiting[waiting_count].node = call->node, waiting[waiting_count].in = in;
  waiting_count++;
  return NO_ANSWER;
}

int flush_file(struct call *call) {
  struct fuse_flush_in in;
  if (!call_take(call, &in, sizeof in)) {
    return EINVAL;
  }
  size_t i = find_owner(call->node, in.lock_owner);
  if (i < owner_count) {
    close(owners[i].fd);
    owners[i] = owners[--owner_count];
  }
  return 0;
}

static void drop_locks(uint64_t node) {
  for (size_t i = owner_count; i-- > 0;) {
    if (owners[i].node == node) {
      close(owners[i].fd);
      owners[i] = owners[--owner_count];
    }
  }
  for (size_t i = 0; i < waiting_count; i++) {
    if (waiting[i].node == node) {
      waiting[i].in.lk.type = UINT32_MAX;
    }
  }
}

int close_file(struct call *call) {
  int error = release_file(call);
  /* A flush names one owner, who is not always the one with the locks. */
  if (error == 0 && file_of_node(call->node) < 0) {
    drop_locks(call->node);
  }
  return error;
}

static void stop_waiting(size_t i) { waiting[i] = waiting[--waiting_count]; }

void interrupt_lock(struct call *call) {
  struct fuse_interrupt_in in;
  if (!call_take(call, &in, sizeof in)) {
    return;
  }
  for (size_t i = 0; i < waiting_count; i++) {
    if (waiting[i].unique == in.unique) {
      /* Tried once more as a lock that cannot be had: it is answered with EINTR by the next round. */
      waiting[i].in.lk.type = UINT32_MAX;
    }
  }
}

bool locks_retry(lock_answer_fn *answer) {
  for (size_t i = waiting_count; i-- > 0;) {
    bool interrupted = waiting[i].in.lk.type == UINT32_MAX;
    int error = interrupted ? EINTR : try_lock(waiting[i].node, &waiting[i].in);
    if (error != EAGAIN) {
      uint64_t unique = waiting[i].unique;
      stop_waiting(i);
      answer(unique, error);
    }
  }
  return waiting_count > 0;
}
