#include "sync/put.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

bool is_temporary(const char *name) { return strncmp(name, TEMPORARY, strlen(TEMPORARY)) == 0; }

void temporary_name(char out[32]) {
  static uint64_t machine;
  static unsigned number;
  while (machine == 0 && getrandom(&machine, 6, 0) < 0 && errno == EINTR) {
  }
  snprintf(out, 32, TEMPORARY "%012llx%x", (unsigned long long)(machine & 0xffffffffffffULL), number++ & 0xffffff);
}

static enum put failed(int from, const char *temporary, enum put result) {
  int error = errno;
  unlinkat(from, temporary, 0);
  errno = error;
  return result;
}

bool move_new(int from, const char *name, int to, const char *target) {
  struct stamp there;
  if (renameat2(from, name, to, target, RENAME_NOREPLACE) == 0) {
    return true;
  }
  if (errno != EINVAL || !stamp_at(to, target, &there)) {
    return false;
  }
  errno = EEXIST;
  return there.mode == 0 && renameat(from, name, to, target) == 0;
}

/* Both change places, and what was there is looked at before it goes: it may have been written a moment ago. */
static enum put exchange(int from, const char *temporary, int folder, const char *name, const struct stamp *expected) {
  struct stamp ours, was;
  if (!stamp_at(from, temporary, &ours)) {
    return failed(from, temporary, PUT_FAILED);
  }
  if (renameat2(from, temporary, folder, name, RENAME_EXCHANGE) != 0) {
    if (errno == EINVAL && stamp_at(folder, name, &was) && stamps_equal_moved(&was, expected)) {
      /* A file system that cannot exchange (NFS): what is written in this moment would be lost. */
      return renameat(from, temporary, folder, name) == 0 ? PUT_DONE : failed(from, temporary, PUT_FAILED);
    }
    return failed(from, temporary, errno == ENOENT ? PUT_STALE : PUT_FAILED);
  }
  if (!stamp_at(from, temporary, &was)) {
    return PUT_FAILED;
  }
  if (stamps_equal_moved(&was, expected)) {
    return failed(from, temporary, PUT_DONE);
  }
  if (renameat2(from, temporary, folder, name, RENAME_EXCHANGE) != 0) {
    /* It went meanwhile: what was there goes back, unless there is something again. */
    return move_new(from, temporary, folder, name) ? PUT_STALE : PUT_FAILED;
  }
  /* Somebody may have replaced ours between the two: that stays, under its temporary name at least. */
  bool is_ours = stamp_at(from, temporary, &was) && was.inode == ours.inode;
  return is_ours ? failed(from, temporary, PUT_STALE) : PUT_STALE;
}

enum put put_file(int from, const char *temporary, int folder, const char *name, const struct stamp *expected) {
  if (expected->mode != 0) {
    return exchange(from, temporary, folder, name, expected);
  }
  if (move_new(from, temporary, folder, name)) {
    return PUT_DONE;
  }
  return failed(from, temporary, errno == EEXIST ? PUT_STALE : PUT_FAILED);
}

enum put put_away(int aside, int folder, const char *name, const struct stamp *expected) {
  char temporary[32];
  struct stamp was;
  temporary_name(temporary);
  if (!move_new(folder, name, aside, temporary)) {
    return errno == ENOENT ? PUT_STALE : PUT_FAILED;
  }
  if (stamp_at(aside, temporary, &was) && stamps_equal_moved(&was, expected)) {
    return unlinkat(aside, temporary, 0) == 0 ? PUT_DONE : PUT_FAILED;
  }
  return move_new(aside, temporary, folder, name) ? PUT_STALE : PUT_FAILED;
}
