/* The bytes of tar entries that are written: POSIX ustar, with PAX records for what does not fit. One archive at a time. */
#ifndef TAR_FORMAT_H
#define TAR_FORMAT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum { BLOCK = 512, BUFFER = 64 << 10, MAX_PAX = 1 << 20 };

struct link {
  dev_t dev;
  ino_t ino;
  char *name;
};

struct tar {
  int out;
  bool layer, failed;
  /* Put before every name: the base name of what was asked for, or nothing. */
  const char *prefix;
  char path[PATH_MAX];
  size_t used;
  uint8_t buffer[BUFFER];
  char *pax;
  size_t pax_length;
  struct link *links;
  size_t link_count;
};

void tar_flush(struct tar *t);
void tar_put(struct tar *t, const void *data, size_t length);
void tar_put_padding(struct tar *t, uint64_t length);
/* Adds a record to the PAX header of the next entry. */
void tar_add_pax(struct tar *t, const char *key, const void *value, size_t length);
void tar_put_header(struct tar *t, const char *name, const struct stat *st, char type, const char *link, uint64_t size);

#endif
