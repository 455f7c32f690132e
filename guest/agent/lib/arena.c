#include "lib/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct arena_node {
  struct arena_node *next;
};

/* Enough for most requests without a call for memory. It belongs to one arena at a time. */
enum { POOL = 64 << 10, ALIGNMENT = 16 };
static _Alignas(ALIGNMENT) uint8_t pool[POOL];
static struct arena *pool_of;

static void *pool_take(struct arena *arena, size_t size) {
  if (pool_of == NULL) {
    pool_of = arena, arena->pooled = 0;
  }
  if (pool_of != arena || size > POOL - arena->pooled) {
    return NULL;
  }
  uint8_t *place = pool + arena->pooled;
  arena->pooled += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return memset(place, 0, size);
}

void *arena_take(struct arena *arena, size_t size) {
  void *place = pool_take(arena, size);
  if (place != NULL) {
    return place;
  }
  struct arena_node *node = calloc(1, sizeof *node + size);
  if (node == NULL) {
    arena->failed = true;
    return NULL;
  }
  node->next = arena->nodes;
  arena->nodes = node;
  return node + 1;
}

void arena_free(struct arena *arena) {
  pool_of = pool_of == arena ? NULL : pool_of;
  while (arena->nodes != NULL) {
    struct arena_node *node = arena->nodes;
    arena->nodes = node->next;
    free(node);
  }
}
