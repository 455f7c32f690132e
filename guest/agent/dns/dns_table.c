#include "dns/dns_table.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_SUFFIXES = 16 };

static struct arena table_arena;
static struct dns_name *table;
static size_t table_count, turn;
static char suffixes[MAX_SUFFIXES][256];
static size_t suffix_count;

void dns_set_names(const struct dns_name *names, size_t count) {
  arena_free(&table_arena);
  table = count == 0 ? NULL : arena_take(&table_arena, count * sizeof *table);
  table_count = table == NULL ? 0 : count;
  for (size_t i = 0; i < table_count; i++) {
    size_t length = strlen(names[i].name);
    char *name = arena_take(&table_arena, length + 1);
    table[i].addresses = arena_take(&table_arena, names[i].count * 4 + 4);
    table[i].addresses6 = arena_take(&table_arena, names[i].count6 * 16 + 16);
    if (name == NULL || table[i].addresses == NULL || table[i].addresses6 == NULL) {
      table_count = i;
      return;
    }
    for (size_t k = 0; k < length; k++) {
      name[k] = (char)(names[i].name[k] >= 'A' && names[i].name[k] <= 'Z' ? names[i].name[k] + 32 : names[i].name[k]);
    }
    table[i].name = name, table[i].count = names[i].count, table[i].count6 = names[i].count6;
    if (names[i].count > 0) {
      memcpy(table[i].addresses, names[i].addresses, names[i].count * 4);
    }
    if (names[i].count6 > 0) {
      memcpy(table[i].addresses6, names[i].addresses6, names[i].count6 * 16);
    }
  }
}

void dns_set_suffixes(const struct strings *search) {
  suffix_count = 0;
  for (size_t i = 0; i < search->count && suffix_count < MAX_SUFFIXES; i++) {
    snprintf(suffixes[suffix_count++], sizeof *suffixes, "%s", search->items[i]);
  }
}

/* Length of `name` without a suffix of the stack; its whole length if it has none. */
static size_t stem(const char *name, bool *ours) {
  size_t length = strlen(name);
  for (size_t i = 0; i < suffix_count; i++) {
    size_t n = strlen(suffixes[i]);
    if (n > 0 && length > n && strcasecmp(name + length - n, suffixes[i]) == 0 && name[length - n - 1] == '.') {
      *ours = true;
      return length - n - 1;
    }
  }
  return length;
}

static const struct dns_name *find_name(const char *name, bool *ours) {
  size_t length = stem(name, ours);
  const struct dns_name *found = NULL;
  for (size_t i = 0; i < table_count; i++) {
    if (strcmp(table[i].name, name) == 0) {
      return &table[i];
    }
    if (*ours && strlen(table[i].name) == length && strncmp(table[i].name, name, length) == 0) {
      found = &table[i];
    }
  }
  return found;
}

static const char *find_owner(const uint8_t address[4]) {
  for (size_t i = 0; i < table_count; i++) {
    for (size_t k = 0; k < table[i].count; k++) {
      if (memcmp(table[i].addresses[k], address, 4) == 0) {
        return table[i].name;
      }
    }
  }
  return NULL;
}

size_t dns_answer_here(uint8_t *m, const struct dns_question *q, size_t size, bool has_upstream) {
  bool ours = false;
  uint8_t address[4];
  const struct dns_name *found = find_name(q->name, &ours);
  if (found != NULL) {
    size_t length = dns_reply(m, q, 0), first = turn++;
    for (size_t i = 0; i < found->count && (q->type == DNS_A || q->type == DNS_ANY); i++) {
      length = dns_add_a(m, length, size, found->addresses[(first + i) % found->count]);
    }
    for (size_t i = 0; i < found->count6 && (q->type == DNS_AAAA || q->type == DNS_ANY); i++) {
      length = dns_add_aaaa(m, length, size, found->addresses6[(first + i) % found->count6]);
    }
    return length;
  }
  if (ours || !has_upstream) {
    return dns_reply(m, q, DNS_NXDOMAIN);
  }
  if (q->type == DNS_PTR && dns_reverse(q->name, address)) {
    const char *owner = find_owner(address);
    return owner == NULL ? 0 : dns_add_ptr(m, dns_reply(m, q, 0), size, owner);
  }
  return 0;
}
