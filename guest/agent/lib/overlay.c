#include "lib/overlay.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/files.h"
#include "lib/paths.h"

#define CREATED PRIVATE "/created"

void remember_created(const char *path, size_t length) { append_line(CREATED, path, length); }

bool was_created(const char *path) {
  FILE *file = fopen(CREATED, "re");
  char line[4098];
  bool found = false;
  while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = 0;
    const char *at = line;
    while (*at == '/') {
      at++;
    }
    found = strcmp(at, path) == 0;
  }
  if (file != NULL) {
    fclose(file);
  }
  return found;
}

/* The writable layer of a machine is number 0. Layers survive a restart of the machine, so the folders are what counts. */
int top_layer(void) {
  char path[64];
  int count = 0;
  do {
    snprintf(path, sizeof path, LAYERS "/%d/u", count);
  } while (access(path, F_OK) == 0 && ++count <= MAX_LAYERS);
  return count - 1;
}

int upper_path(char *out, size_t size) {
  int top = top_layer();
  snprintf(out, size, LAYERS "/%d/u", top);
  return top < 0 ? -1 : 0;
}

bool same_below(const char *path, const struct stat *st) {
  char full[4200];
  struct stat below;
  for (int i = top_layer() - 1; i >= -1; i--) {
    if (i >= 0) {
      snprintf(full, sizeof full, LAYERS "/%d/u/%s", i, path);
    } else {
      snprintf(full, sizeof full, LOWER "/%s", path);
    }
    if (lstat(full, &below) == 0) {
      return below.st_mode == st->st_mode && below.st_uid == st->st_uid && below.st_gid == st->st_gid;
    }
  }
  return false;
}
