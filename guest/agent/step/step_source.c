#include "step/step_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/rooted.h"
#include "lib/files.h"
#include "devices/disks.h"

bool is_plain_name(const char *name) { return name != NULL && name[0] != 0 && name[0] != '.' && strchr(name, '/') == NULL; }

static char problem[512];

int step_problem(const struct step_mount *m, const char *what) {
  if (problem[0] == 0) {
    snprintf(problem, sizeof problem, "mounting %s: %s: %s", m->target, what, strerror(errno));
  }
  return -1;
}

const char *step_first_problem(void) { return problem[0] == 0 ? NULL : problem; }

int step_disk(const struct step_mount *m, const char *serial, bool image, char *out, size_t size) {
  char device[64];
  struct stat own, parent;
  snprintf(out, size, STEP "/%s", serial);
  if (!is_plain_name(serial)) {
    errno = EINVAL;
    return step_problem(m, "the name of a disk");
  }
  if (stat(out, &own) == 0 && stat(STEP, &parent) == 0 && own.st_dev != parent.st_dev) {
    return 0;
  }
  if (!find_disk(serial, device, sizeof device)) {
    errno = ENODEV;
    return step_problem(m, serial);
  }
  if (make_dirs(out, 0755) != 0 || (image ? mount(device, out, "erofs", MS_RDONLY, NULL) : mount_writable(device, out)) != 0) {
    return step_problem(m, "its disk");
  }
  return 0;
}

int step_content(const struct step_mount *m, uint32_t kind, const char *source, char *out, size_t size) {
  switch (kind) {
    case STEP_SOURCE_STAGED:
      snprintf(out, size, STAGED "/%s", source);
      errno = EINVAL;
      return is_plain_name(source) ? 0 : step_problem(m, "its content");
    case STEP_SOURCE_IMAGE: return step_disk(m, source, true, out, size);
    default: errno = EINVAL; return step_problem(m, "its kind");
  }
}

int step_open(const struct step_mount *m, const char *base, const char *below, int flags) {
  int root = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int fd = root < 0 ? -1 : rooted_open(root, below == NULL ? "/" : below, flags);
  if (fd < 0) {
    step_problem(m, below == NULL ? "its content" : below);
  }
  if (root >= 0) {
    close(root);
  }
  return fd;
}
