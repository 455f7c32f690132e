/* Memory that is freed in one go: everything that belongs to one request. */
#ifndef ARENA_H
#define ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena {
  struct arena_node *nodes;
  size_t pooled;
  /* No memory, or too many items: what was decoded is not to be used. */
  bool failed;
};

/* Zeroed memory, or NULL. */
void *arena_take(struct arena *arena, size_t size);
void arena_free(struct arena *arena);

/* A list of texts; `items` is NULL or ends with NULL. */
struct strings {
  char **items;
  size_t count;
};

#endif
