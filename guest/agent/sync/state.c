#include "sync/state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sync/bring.h"

#define MAGIC "hypr sync 1\n"
#define DONE "end\n"
enum { MOST_DEPTH = 2048 };

struct entry {
  uint16_t depth, length;
  struct stamp equal[SIDES];
};

static bool save_below(FILE *file, const struct node *folder, unsigned depth) {
  bool ok = true;
  for (const struct node *node = folder->first; ok && node != NULL; node = node->next) {
    if (node->known && depth < MOST_DEPTH) {
      struct entry entry;
      memset(&entry, 0, sizeof entry);
      entry = (struct entry){(uint16_t)depth, (uint16_t)strlen(node->name), {node->equal[HOST], node->equal[GUEST]}};
      ok = fwrite(&entry, sizeof entry, 1, file) == 1 && fwrite(node->name, entry.length, 1, file) == 1 && save_below(file, node, depth + 1);
    }
  }
  return ok;
}

bool state_save(int place, const struct node *root) {
  if (syncfs(place) != 0) {
    return false;
  }
  int fd = openat(place, "state.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
  if (file == NULL) {
    if (fd >= 0) {
      close(fd);
    }
    return false;
  }
  bool ok = fputs(MAGIC, file) >= 0 && save_below(file, root, 1) && fwrite(&(struct entry){0}, sizeof(struct entry), 1, file) == 1 &&
            fputs(DONE, file) >= 0 && fflush(file) == 0 && fsync(fd) == 0;
  ok = fclose(file) == 0 && ok;
  return ok && renameat(place, "state.new", place, "state") == 0;
}

static bool load(FILE *file, struct node *root) {
  struct node *folders[MOST_DEPTH + 1] = {root};
  struct entry entry;
  char text[256] = "";
  unsigned depth = 0;
  if (fgets(text, sizeof text, file) == NULL || strcmp(text, MAGIC) != 0) {
    return false;
  }
  while (fread(&entry, sizeof entry, 1, file) == 1) {
    if (entry.depth == 0) {
      return fgets(text, sizeof text, file) != NULL && strcmp(text, DONE) == 0;
    }
    if (entry.depth > depth + 1 || entry.depth >= MOST_DEPTH || entry.length > 255 || fread(text, 1, entry.length, file) != entry.length) {
      return false;
    }
    text[entry.length] = 0;
    depth = entry.depth;
    struct node *node = tree_child(folders[depth - 1], text, true);
    if (node == NULL) {
      return false;
    }
    memcpy(node->equal, entry.equal, sizeof node->equal);
    node->known = true;
    folders[depth] = node;
  }
  return false;
}

bool state_load(int place, struct node *root) {
  int fd = openat(place, "state", O_RDONLY | O_CLOEXEC);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
  if (file == NULL) {
    if (fd >= 0) {
      close(fd);
    }
    return false;
  }
  bool ok = load(file, root);
  fclose(file);
  if (!ok) {
    forget_tree(root);
    root->known = true;
  }
  return ok;
}
