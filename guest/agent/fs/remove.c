#include "fs/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { MAX_REMOVE_DEPTH = 512 };

static int remove_below(int dir, const char *name, int depth) {
  if (unlinkat(dir, name, 0) == 0 || errno == ENOENT) {
    return 0;
  }
  int fd = depth > MAX_REMOVE_DEPTH ? -1 : openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *list = fd < 0 ? NULL : fdopendir(fd);
  struct dirent *entry;
  int result = list == NULL ? -1 : 0;
  while (result == 0 && (entry = readdir(list)) != NULL) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      result = remove_below(fd, entry->d_name, depth + 1);
    }
  }
  if (list != NULL) {
    closedir(list);
  }
  return result == 0 ? unlinkat(dir, name, AT_REMOVEDIR) : result;
}

int remove_tree(int dir, const char *name) { return remove_below(dir, name, 0); }

int empty_folder(int dir) {
  int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
  DIR *list = fd < 0 ? NULL : fdopendir(fd);
  struct dirent *entry;
  while (list != NULL && result == 0 && (entry = readdir(list)) != NULL) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      result = remove_below(fd, entry->d_name, 0);
    }
  }
  if (list != NULL) {
    closedir(list);
  }
  return result;
}
