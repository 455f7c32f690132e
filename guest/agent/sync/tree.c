#include "sync/tree.h"

#include <stdlib.h>
#include <string.h>

static struct node **buckets;
static size_t bucket_count, node_count;

static size_t hash_of(const struct node *folder, const char *name) {
  uint64_t hash = (uintptr_t)folder * 0x9e3779b97f4a7c15ULL;
  for (; *name != 0; name++) {
    hash = (hash ^ (unsigned char)*name) * 0x100000001b3ULL;
  }
  return (size_t)(hash ^ hash >> 29);
}

static bool grow(void) {
  size_t count = bucket_count == 0 ? 1024 : bucket_count * 4;
  struct node **grown = calloc(count, sizeof *grown);
  if (grown == NULL) {
    return bucket_count > 0;
  }
  for (size_t i = 0; i < bucket_count; i++) {
    for (struct node *node = buckets[i], *next; node != NULL; node = next) {
      struct node **bucket = &grown[hash_of(node->parent, node->name) % count];
      next = node->chained;
      node->chained = *bucket;
      *bucket = node;
    }
  }
  free(buckets);
  buckets = grown, bucket_count = count;
  return true;
}

struct node *tree_root(void) {
  struct node *root = calloc(1, sizeof *root + 1);
  if (root != NULL) {
    root->known = true;
  }
  return root;
}

struct node *tree_child(struct node *folder, const char *name, bool make) {
  if (*name == 0 || strlen(name) > 255 || strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
    return NULL;
  }
  size_t hash = hash_of(folder, name);
  for (struct node *node = bucket_count == 0 ? NULL : buckets[hash % bucket_count]; node != NULL; node = node->chained) {
    if (node->parent == folder && strcmp(node->name, name) == 0) {
      return node;
    }
  }
  if (!make || (node_count >= bucket_count && !grow())) {
    return NULL;
  }
  struct node *node = calloc(1, sizeof *node + strlen(name) + 1);
  if (node == NULL) {
    return NULL;
  }
  strcpy(node->name, name);
  node->parent = folder;
  node->next = folder->first;
  folder->first = node;
  node->chained = buckets[hash % bucket_count];
  buckets[hash % bucket_count] = node;
  node_count++;
  return node;
}

size_t tree_count(void) { return node_count; }

void tree_drop(struct node *node) {
  struct node **at = &buckets[hash_of(node->parent, node->name) % bucket_count];
  while (*at != node) {
    at = &(*at)->chained;
  }
  *at = node->chained;
  for (at = &node->parent->first; *at != node;) {
    at = &(*at)->next;
  }
  *at = node->next;
  node_count--;
  free(node);
}

bool tree_path(const struct node *node, char *out, unsigned size) {
  unsigned at = size;
  if (size == 0) {
    return false;
  }
  out[--at] = 0;
  for (; node->parent != NULL; node = node->parent) {
    unsigned length = (unsigned)strlen(node->name);
    bool last = out[at] == 0;
    if (at < length + !last) {
      return false;
    }
    if (!last) {
      out[--at] = '/';
    }
    memcpy(out + (at -= length), node->name, length);
  }
  memmove(out, out + at, size - at);
  return true;
}
