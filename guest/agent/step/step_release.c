#include "step/step_release.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/remove.h"
#include "fs/rooted.h"
#include "fs/tar_read.h"
#include "lib/failure.h"
#include "lib/files.h"
#include "lib/host_test.h"
#include "devices/disks.h"
#include "step/step_source.h"

#define STUBS PRIVATE "/stubs"
enum { MAX_STUBS = 4096, RELEASE_TRIES = 2000, RELEASE_PAUSE_US = 5000 };

void step_remember_stub(const char *path, size_t length) { append_line(STUBS, path, length); }

int step_stage(const char *name) {
  char path[4096], aside[300];
  if (!is_plain_name(name) || strlen(name) > 200) {
    return fail(REASON_STEP, "the name of a staged folder is not one");
  }
  snprintf(aside, sizeof aside, ".%s", name);
  if (host_test) {
    return tree_extract_layer(0, "/dev/null");
  }
  int staged = make_dirs(STAGED, 0700) == 0 ? open(STAGED, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (staged < 0 || remove_tree(staged, aside) != 0 || mkdirat(staged, aside, 0755) != 0) {
    return fail(REASON_STEP, "making the folder for what the step mounts: %s", strerror(errno));
  }
  int dir = openat(staged, aside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0 || tree_extract(0, dir) != 0) {
    return -1;
  }
  snprintf(path, sizeof path, "%s", name);
  return remove_tree(staged, path) == 0 && renameat(staged, aside, staged, path) == 0 ? 0 : fail(REASON_STEP, "keeping what the step mounts: %s", strerror(errno));
}

/* Removes mount points that are still empty, the innermost first. */
static void remove_stubs(void) {
  static char *lines[MAX_STUBS];
  char line[4098];
  size_t count = 0;
  FILE *file = fopen(STUBS, "re");
  int root = open(SYSROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (file != NULL && count < MAX_STUBS && fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = 0;
    lines[count++] = strdup(line);
  }
  while (count > 0) {
    char *path = lines[--count], *slash = path == NULL ? NULL : strrchr(path, '/');
    struct stat st, before;
    if (slash != NULL && slash[1] != 0) {
      *slash = 0;
      int parent = rooted_open(root, path[0] == 0 ? "/" : path, O_RDONLY | O_DIRECTORY);
      if (parent >= 0 && fstat(parent, &before) == 0 && fstatat(parent, slash + 1, &st, AT_SYMLINK_NOFOLLOW) == 0 && (S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_size == 0))) {
        if (unlinkat(parent, slash + 1, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) == 0) {
          restore_time(parent, &before);
        }
      }
      close(parent);
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  close(root);
  unlink(STUBS);
}

/* A namespace releases its mounts a moment after its end; a disk that is still mounted cannot be opened exclusively. */
static int wait_free(const char *serial) {
  char device[64];
  if (!is_plain_name(serial) || !find_disk(serial, device, sizeof device)) {
    return fail(REASON_STEP, "there is no disk with the serial %s", serial);
  }
  for (int tries = 0; tries < RELEASE_TRIES; tries++) {
    int fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
    if (fd >= 0) {
      fsync(fd);
      close(fd);
      return 0;
    }
    usleep(RELEASE_PAUSE_US);
  }
  return fail(REASON_STEP, "the disk of a cache is still in use");
}

int step_release(const char *serials) {
  char list[4096];
  if (host_test) {
    return 0;
  }
  remove_stubs();
  int layers = open(LAYERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
  if (layers >= 0) {
    remove_tree(layers, "scratch");
    close(layers);
  }
  snprintf(list, sizeof list, "%s", serials == NULL ? "" : serials);
  for (char *at = strtok(list, " "); at != NULL; at = strtok(NULL, " ")) {
    result = wait_free(at) != 0 ? -1 : result;
  }
  return result;
}
