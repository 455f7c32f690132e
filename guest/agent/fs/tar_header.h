/* Reading tar headers. Pure and bounded: fuzzed together with the frames. */
#ifndef TAR_HEADER_H
#define TAR_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAR_BLOCK = 512, TAR_NAME = 4096, TAR_MAX_PAX = 1 << 20 };

struct tar_entry {
  char name[TAR_NAME], link[TAR_NAME];
  char type;
  uint32_t mode, major, minor;
  uint64_t uid, gid, size;
  int64_t mtime;
};

/* Decodes one header block; false when its checksum or a number is wrong. An all-zero block has type 0 and no name. */
bool tar_parse(const uint8_t block[TAR_BLOCK], struct tar_entry *out);
/* The next `key=value` record of a PAX header; false at the end, with `*at` NULL if it was malformed. */
bool pax_next(const char **at, const char *end, const char **key, size_t *key_length, const char **value, size_t *value_length);
/* Overrides an entry's field by a PAX record; false when the value makes no sense. */
bool pax_apply(struct tar_entry *entry, const char *key, size_t key_length, const char *value, size_t value_length);
/* Cleans a name in place: no leading slashes or `./`; false if a part is `..` or it is too long to be real. */
bool tar_clean_name(char *name);

#endif
