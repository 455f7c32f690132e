#include "step/step_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/copy_tree.h"
#include "fs/remove.h"
#include "step/step_source.h"

/* A cache begins empty or as a copy; it counts as made only when it is complete. */
static int make_cache(const struct step_mount *m, int disk) {
  struct stat st;
  int error = 0;
  if (remove_tree(disk, "_new") != 0 || mkdirat(disk, "_new", 0755) != 0) {
    return step_problem(m, "making the cache");
  }
  int data = openat(disk, "_new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  mode_t mode = m->has_mode ? m->mode & 07777 : 0755;
  if (m->seed != NULL) {
    char base[4096];
    int from = step_content(m, m->seed_kind, m->seed, base, sizeof base) == 0 ? step_open(m, base, m->seed_path, O_RDONLY | O_DIRECTORY) : -1;
    error = from < 0 || fstat(from, &st) != 0 || !copy_tree(from, data) || fchown(data, st.st_uid, st.st_gid) != 0;
    mode = error == 0 && !m->has_mode ? st.st_mode & 07777 : mode;
    if (from >= 0) {
      close(from);
    }
  }
  if (error == 0 && (m->seed == NULL || m->uid != 0 || m->gid != 0)) {
    error = fchown(data, m->uid, m->gid);
  }
  error = error != 0 || fchmod(data, mode) != 0 || renameat(disk, "_new", disk, "_data") != 0;
  close(data);
  return error == 0 ? 0 : step_problem(m, "making the cache");
}

int step_open_cache(const struct step_mount *m) {
  char base[4096];
  if (step_disk(m, m->source, false, base, sizeof base) != 0) {
    return -1;
  }
  int disk = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int data = openat(disk, "_data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (data < 0 && errno == ENOENT && make_cache(m, disk) == 0) {
    data = openat(disk, "_data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  if (data < 0) {
    step_problem(m, "opening the cache");
  }
  close(disk);
  return data;
}
