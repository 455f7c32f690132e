#include "watchers/tell_edits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/rooted.h"
#include "lib/failure.h"
#include "lib/paths.h"
#include "watchers/inotify_watches.h"

/* What vmm/preload/shares.c answers in the place of the host's file system: nothing reaches it. The attribute makes IN_ATTRIB here, the
 * opening and the allocation IN_MODIFY and IN_CLOSE_WRITE. */
#define TOLD_ATTRIBUTE "hypr.told"
enum { TOLD_OPEN = O_WRONLY | O_SYNC | O_ASYNC | O_NONBLOCK };
#define TOLD_OFFSET (1LL << 60)
#define TOLD_MODE 01117

/* A file of another file system than any share. */
#define ELSEWHERE "/proc/version"

static int share_root;
/* Whether that library is there; without it programs see edits, but nobody tells them. */
static bool can_tell;
/* The folder of the last path, since many paths in a row are of one. */
static char last_folder[4096];
static int last_fd = -1;

static int open_folder(const char *path, size_t length) {
  if (length >= sizeof last_folder) {
    return -1;
  }
  if (last_fd >= 0 && strlen(last_folder) == length && memcmp(last_folder, path, length) == 0) {
    return last_fd;
  }
  if (last_fd >= 0) {
    close(last_fd);
  }
  memcpy(last_folder, path, length);
  last_folder[length] = 0;
  last_fd = rooted_open(share_root, last_folder, O_PATH | O_DIRECTORY);
  return last_fd;
}

/* The folder of a path and its name in it; NULL where there is no such folder. */
static const char *split(const char *path, int *folder) {
  const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
  bool ok = *name != 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
  *folder = ok ? open_folder(path, slash == NULL ? 0 : (size_t)(slash - path)) : -1;
  return *folder < 0 ? NULL : name;
}

/* A link from another file system is never made, but before the kernel says so it asks the host for the name, whatever it remembers, and
 * takes over what it hears: what is there, or that nothing is; size and times, and forgets the content where those are others. */
static void look_again(int folder, const char *name) {
  linkat(AT_FDCWD, ELSEWHERE, folder, name, 0);
}

static bool tell_attributes(int fd) {
  char path[FD_PATH];
  return can_tell && setxattr(fd_path(fd, path), TOLD_ATTRIBUTE, "", 0, 0) == 0;
}

/* Programs that watch a tree begin to watch a folder when it is made: that library hides the name until this kernel has it made, and answers
 * that it was. It makes nothing with this mode, whatever is there meanwhile. */
static void tell_new_folder(int folder, const char *name) {
  char path[FD_PATH];
  if (setxattr(fd_path(folder, path), TOLD_ATTRIBUTE, name, strlen(name), 0) == 0) {
    mkdirat(folder, name, TOLD_MODE);
  }
}

/* Not for a program: while it is open for writing, it could not be run. */
static bool tell_content(int fd, const struct stat *info) {
  char path[FD_PATH];
  if (!S_ISREG(info->st_mode) || (info->st_mode & 0111) != 0) {
    return false;
  }
  int file = open(fd_path(fd, path), TOLD_OPEN | O_CLOEXEC);
  bool ok = file >= 0 && fallocate(file, FALLOC_FL_KEEP_SIZE, TOLD_OFFSET, 1) == 0;
  if (file >= 0) {
    close(file);
  }
  return ok;
}

static void tell_path(int folder, const char *name, bool is_new) {
  struct stat info;
  int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (can_tell && fd >= 0 && fstat(fd, &info) == 0 && !tell_content(fd, &info) && tell_attributes(fd) && is_new && S_ISDIR(info.st_mode)) {
    tell_new_folder(folder, name);
  }
  if (fd >= 0) {
    close(fd);
  }
}

enum edit { GONE, APPEARED, WRITTEN };

static void tell_all(const struct strings *paths, enum edit edit) {
  for (size_t i = 0; i < paths->count; i++) {
    int folder;
    const char *name = split(paths->items[i], &folder);
    if (name != NULL) {
      look_again(folder, name);
      if (edit == GONE) {
        tell_attributes(folder);
      } else {
        tell_path(folder, name, edit == APPEARED);
      }
    }
  }
}

static void tell_folders(const struct strings *paths) {
  for (size_t i = 0; i < paths->count; i++) {
    int fd = open_folder(paths->items[i], strlen(paths->items[i]));
    if (fd >= 0) {
      tell_attributes(fd);
    }
  }
}

/* A file that was replaced or removed has no name here any more, and whoever watches it is told in the way of any file: its attributes, then
 * that it is gone, which the kernel says itself once it knows that the file has no name on the host either. */
static bool tell_nameless(const struct inotify_watch *watch, void *context) {
  const struct stat *share = context;
  char path[FD_PATH], name[sizeof PRIVATE + 64];
  struct stat info;
  if (watch->device != kernel_device(share->st_dev)) {
    return true;
  }
  struct inotify_watch copy = *watch;
  int fd = open_by_handle_at(share_root, &copy.handle, O_PATH | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : readlink(fd_path(fd, path), name, sizeof name);
  bool has_name = length >= (ssize_t)strlen(PRIVATE "/share/") && memcmp(name, PRIVATE "/share/", strlen(PRIVATE "/share/")) == 0;
  if (length >= 0 && !has_name && fstat(fd, &info) == 0 && info.st_nlink == 0) {
    tell_attributes(fd);
  }
  if (fd >= 0) {
    close(fd);
  }
  return true;
}

int tell_edits(void *argument) {
  const struct edits *edits = argument;
  char path[4096];
  struct stat info;
  snprintf(path, sizeof path, PRIVATE "/share/%s", edits->share);
  share_root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (share_root < 0 || fstat(share_root, &info) != 0) {
    return fail(REASON_NOT_FOUND, "there is no share %s", edits->share);
  }
  can_tell = fgetxattr(share_root, TOLD_ATTRIBUTE, NULL, 0) == 0;
  umask(0);
  tell_all(&edits->gone, GONE);
  tell_all(&edits->appeared, APPEARED);
  tell_all(&edits->written, WRITTEN);
  tell_folders(&edits->folders);
  if (can_tell && edits->gone.count + edits->appeared.count + edits->folders.count > 0) {
    each_inotify_watch(tell_nameless, &info);
  }
  return 0;
}
