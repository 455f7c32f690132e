#include "share/nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "fs/rooted.h"

static int root = -1;
static struct stat root_stat;

static bool is_root(const struct stat *st) { return st->st_ino == root_stat.st_ino && st->st_dev == root_stat.st_dev; }

#ifdef KESTREL_HOST_TEST

/* A plain user may not open by handle: what was seen stays open, and its number is its place. */
enum { MAX_SEEN = 4096 };
static int seen[MAX_SEEN];
static uint64_t seen_count;

static void note_outside(void) {}
static bool open_handles(void) { return true; }

static int open_handle(uint64_t node) {
  if (node < 2 || node - 2 >= seen_count) {
    errno = ESTALE;
    return -1;
  }
  return fcntl(seen[node - 2], F_DUPFD_CLOEXEC, 0);
}

static uint64_t handle_of(int fd, const struct stat *st) {
  struct stat other;
  for (uint64_t i = 0; i < seen_count; i++) {
    if (fstat(seen[i], &other) == 0 && other.st_ino == st->st_ino && other.st_dev == st->st_dev) {
      return i + 2;
    }
  }
  if (seen_count == MAX_SEEN) {
    errno = ENFILE;
    return 0;
  }
  seen[seen_count] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return seen_count++ + 2;
}

#else

enum { INODE_AND_GENERATION = 1, HANDLE_SIZE = 8 };

struct handle {
  struct file_handle head;
  uint32_t inode, generation;
};

static int mount_id;
static ino_t outside[2];

static void note_outside(void) {
  struct stat st;
  const char *const beside[] = {"..", "../lost+found"};
  for (int i = 0; i < 2; i++) {
    outside[i] = fstatat(root, beside[i], &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_ino : 0;
  }
}

static bool open_handles(void) {
  struct handle handle = {.head.handle_bytes = HANDLE_SIZE};
  return name_to_handle_at(root, "", &handle.head, &mount_id, AT_EMPTY_PATH) == 0;
}

static int open_handle(uint64_t node) {
  /* Member by member: in musl the last one of the head has no size, and may not be named. */
  struct handle handle = {.head = {.handle_bytes = HANDLE_SIZE, .handle_type = INODE_AND_GENERATION},
                          .inode = (uint32_t)node,
                          .generation = (uint32_t)(node >> 32)};
  if (handle.inode == 0 || handle.inode == outside[0] || handle.inode == outside[1]) {
    errno = ESTALE;
    return -1;
  }
  return open_by_handle_at(root, &handle.head, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static uint64_t handle_of(int fd, const struct stat *st) {
  struct handle handle = {.head.handle_bytes = HANDLE_SIZE};
  int id;
  (void)st;
  if (name_to_handle_at(fd, "", &handle.head, &id, AT_EMPTY_PATH) != 0) {
    return 0;
  }
  if (id != mount_id || handle.head.handle_type != INODE_AND_GENERATION || handle.head.handle_bytes != HANDLE_SIZE) {
    errno = EXDEV;
    return 0;
  }
  return (uint64_t)handle.generation << 32 | handle.inode;
}

#endif

/* Everything is reached through the mount that `root` is of: where that one is read-only, the kernel refuses every change. The tree
 * stays open, which keeps the mount as long as this process. */
static bool mount_read_only(void) {
  const uint64_t attributes[4] = {1 /* MOUNT_ATTR_RDONLY */};
  int tree = (int)syscall(SYS_open_tree, root, "", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC | AT_EMPTY_PATH);
  if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, attributes, sizeof attributes) != 0) {
    return false;
  }
  close(root);
  /* What open_tree gives opens no handles. */
  root = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return root >= 0;
}

bool nodes_open(const char *folder, bool read_only) {
  root = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (root < 0 || fstat(root, &root_stat) != 0) {
    return false;
  }
  /* Of a mount of its own the folder has nothing beside it. */
  note_outside();
  return (!read_only || mount_read_only()) && open_handles();
}

/* Opened anew through /proc: what the descriptor names, wherever it is by now. Only files and folders: the open of a pipe
 * would wait, that of a device would reach it. */
static int reopen(int fd, int flags) {
  char path[FD_PATH];
  struct stat st;
  if (fstat(fd, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
    errno = ENXIO;
    return -1;
  }
  return open(fd_path(fd, path), flags | O_CLOEXEC | O_NONBLOCK);
}

int node_open(uint64_t node, int flags) {
  int fd = node == FUSE_ROOT_ID ? fcntl(root, F_DUPFD_CLOEXEC, 0) : open_handle(node);
  if (fd < 0 || flags & O_PATH) {
    return fd;
  }
  int opened = reopen(fd, flags);
  int error = errno;
  close(fd);
  errno = error;
  return opened;
}

uint64_t node_of(int fd, struct stat *st) {
  if (fstat(fd, st) != 0) {
    return 0;
  }
  return is_root(st) ? FUSE_ROOT_ID : handle_of(fd, st);
}
