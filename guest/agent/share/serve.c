#include "share/serve.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "lib/failure.h"
#include "share/attributes.h"
#include "share/files.h"
#include "share/locks.h"
#include "share/names.h"
#include "share/nodes.h"
#include "share/owner.h"

/* Descriptors: as many as files.c and locks.c count, and a few. Where there may be no more, opens fail with EMFILE. */
enum { RETRY_MS = 20, ROOM = MAX_TRANSFER + 4096, DESCRIPTORS = 10240 };

static int answers;
static bool broken;

static int start(struct call *call) {
  enum { WANTED = FUSE_BIG_WRITES | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_DONT_MASK | FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL };
  /* What older kernels send; newer ones have more after it. */
  struct {
    uint32_t major, minor, max_readahead, flags;
  } in;
  if (!call_take(call, &in, sizeof in) || in.major != FUSE_KERNEL_VERSION || in.minor < 31) {
    return EPROTO;
  }
  struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
  out.flags = in.flags & WANTED;
  out.max_write = MAX_TRANSFER;
  out.time_gran = 1;
  out.max_background = 16, out.congestion_threshold = 12;
  call_add(call, &out, sizeof out);
  return 0;
}

static int nothing_to_do(struct call *call) {
  (void)call;
  return NO_ANSWER;
}

static int interrupt(struct call *call) {
  interrupt_lock(call);
  return NO_ANSWER;
}

typedef int handler(struct call *call);
static handler *const handlers[] = {
    [FUSE_LOOKUP] = find_name,        [FUSE_FORGET] = nothing_to_do,        [FUSE_GETATTR] = get_attributes,
    [FUSE_SETATTR] = set_attributes,  [FUSE_READLINK] = read_symbolic_link, [FUSE_SYMLINK] = make_symbolic_link,
    [FUSE_MKNOD] = make_node,         [FUSE_MKDIR] = make_folder,           [FUSE_UNLINK] = remove_name,
    [FUSE_RMDIR] = remove_folder,     [FUSE_RENAME] = rename_name,          [FUSE_LINK] = make_link,
    [FUSE_OPEN] = open_file,          [FUSE_READ] = read_file,              [FUSE_WRITE] = write_file_part,
    [FUSE_STATFS] = get_usage,        [FUSE_RELEASE] = close_file,          [FUSE_FSYNC] = sync_file,
    [FUSE_SETXATTR] = set_extended,   [FUSE_GETXATTR] = get_extended,       [FUSE_LISTXATTR] = list_extended,
    [FUSE_REMOVEXATTR] = remove_extended, [FUSE_FLUSH] = flush_file,        [FUSE_INIT] = start,
    [FUSE_OPENDIR] = open_folder,     [FUSE_READDIR] = read_folder,         [FUSE_RELEASEDIR] = close_file,
    [FUSE_FSYNCDIR] = sync_file,      [FUSE_GETLK] = test_lock,             [FUSE_SETLK] = set_lock,
    [FUSE_SETLKW] = set_lock,         [FUSE_CREATE] = create_file,          [FUSE_INTERRUPT] = interrupt,
    [FUSE_DESTROY] = nothing_to_do,   [FUSE_BATCH_FORGET] = nothing_to_do,  [FUSE_FALLOCATE] = allocate_file,
    [FUSE_RENAME2] = rename_name,     [FUSE_LSEEK] = seek_file,
};

static void send(uint64_t unique, int error, const uint8_t *body, size_t length) {
  static uint8_t message[ROOM + sizeof(struct fuse_out_header)];
  struct fuse_out_header head = {(uint32_t)(sizeof head + length), -error, unique};
  memcpy(message, &head, sizeof head);
  if (length > 0) {
    memcpy(message + sizeof head, body, length);
  }
  for (size_t at = 0; !broken && at < head.len;) {
    ssize_t n = write(answers, message + at, head.len - at);
    if (n < 0 && errno != EINTR) {
      broken = true;
    }
    at += n > 0 ? (size_t)n : 0;
  }
}

static void answer_lock(uint64_t unique, int error) { send(unique, error, NULL, 0); }

static bool handle(const uint8_t *bytes, size_t length) {
  static uint8_t out[ROOM];
  struct call call = {.out = out};
  if (!call_begin(&call, bytes, length)) {
    return false;
  }
  handler *fn = call.opcode < sizeof handlers / sizeof *handlers ? handlers[call.opcode] : NULL;
  int error = fn == NULL ? ENOSYS : fn(&call);
  if (error != NO_ANSWER) {
    send(call.unique, error, out, error == 0 ? call.out_length : 0);
  }
  return true;
}

/* Handles the whole requests at the beginning; how many bytes they take, or -1 where it is none. */
static long handle_all(const uint8_t *bytes, size_t length) {
  size_t at = 0;
  uint32_t size;
  while (length - at >= sizeof size) {
    memcpy(&size, bytes + at, sizeof size);
    if (size < sizeof(struct fuse_in_header) || size > MAX_MESSAGE) {
      return -1;
    }
    if (length - at < size) {
      break;
    }
    if (!handle(bytes + at, size)) {
      return -1;
    }
    at += size;
  }
  return (long)at;
}

int serve_folder(int in, int out, const char *folder, bool read_only) {
  static uint8_t bytes[2 * MAX_MESSAGE];
  size_t have = 0;
  bool waiting = false;
  const struct rlimit descriptors = {DESCRIPTORS, DESCRIPTORS};
  answers = out;
  setrlimit(RLIMIT_NOFILE, &descriptors);
  owner_prepare();
  umask(0);
  if (!nodes_open(folder, read_only)) {
    return fail(REASON_MACHINE, "the volume cannot be lent: %s", strerror(errno));
  }
  while (!broken) {
    struct pollfd poller = {in, POLLIN, 0};
    if (poll(&poller, 1, waiting ? RETRY_MS : -1) > 0) {
      ssize_t n = read(in, bytes + have, sizeof bytes - have);
      if (n == 0 || (n < 0 && errno != EINTR)) {
        break;
      }
      have += n > 0 ? (size_t)n : 0;
      long done = handle_all(bytes, have);
      if (done < 0) {
        return fail(REASON_MALFORMED, "what asks for the volume does not speak its protocol");
      }
      have -= (size_t)done;
      memmove(bytes, bytes + done, have);
    }
    waiting = locks_retry(answer_lock);
  }
  return 0;
}
