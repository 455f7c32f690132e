#include "lib/overlay.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
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

static void layer_path(int layer, const char *path, char *out, size_t size) {
  if (layer >= 0) {
    snprintf(out, size, LAYERS "/%d/u/%s", layer, path);
  } else {
    snprintf(out, size, LOWER "/%s", path);
  }
}

bool is_opaque(const char *path) {
  char value[8];
  return lgetxattr(path, "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

/* True if what the layers below have at a path does not shine through: a folder above it is opaque here, or is none. */
static bool hides_below(int layer, const char *path) {
  char full[4200];
  struct stat st;
  layer_path(layer, path, full, sizeof full);
  char *start = full + strlen(full) - strlen(path);
  for (char *slash = strchr(start, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (lstat(full, &st) != 0) {
      return false;
    }
    if (!S_ISDIR(st.st_mode) || is_opaque(full)) {
      return true;
    }
    *slash = '/';
  }
  return false;
}

bool same_below(const char *path, const struct stat *st) {
  char full[4200];
  struct stat below;
  for (int i = top_layer(); i >= 0; i--) {
    if (hides_below(i, path)) {
      return false;
    }
    layer_path(i - 1, path, full, sizeof full);
    if (lstat(full, &below) == 0) {
      return below.st_mode == st->st_mode && below.st_uid == st->st_uid && below.st_gid == st->st_gid && below.st_mtim.tv_sec == st->st_mtim.tv_sec && below.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
    }
  }
  return false;
}
