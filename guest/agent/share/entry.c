#include "share/entry.h"

#include <sys/sysmacros.h>

struct fuse_attr attributes_of(const struct stat *st) {
  return (struct fuse_attr){
      .ino = st->st_ino,
      .size = (uint64_t)st->st_size,
      .blocks = (uint64_t)st->st_blocks,
      .atime = (uint64_t)st->st_atim.tv_sec,
      .mtime = (uint64_t)st->st_mtim.tv_sec,
      .ctime = (uint64_t)st->st_ctim.tv_sec,
      .atimensec = (uint32_t)st->st_atim.tv_nsec,
      .mtimensec = (uint32_t)st->st_mtim.tv_nsec,
      .ctimensec = (uint32_t)st->st_ctim.tv_nsec,
      .mode = st->st_mode,
      .nlink = (uint32_t)st->st_nlink,
      .uid = st->st_uid,
      .gid = st->st_gid,
      .rdev = (minor(st->st_rdev) & 0xff) | major(st->st_rdev) << 8 | (minor(st->st_rdev) & ~0xffU) << 12,
      .blksize = (uint32_t)st->st_blksize,
  };
}

void answer_entry(struct call *call, uint64_t node, const struct stat *st) {
  struct fuse_entry_out out = {.nodeid = node, .attr = attributes_of(st)};
  call_add(call, &out, sizeof out);
}
