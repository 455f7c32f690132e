#include "fs/tar_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/failure.h"

const uint8_t *tar_take(struct tar_stream *r, size_t wanted, size_t *got) {
  if (r->length == 0) {
    ssize_t n;
    do {
      n = read(r->in, r->buffer, TAR_BUFFER);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
      return NULL;
    }
    r->start = 0, r->length = (size_t)n;
  }
  *got = wanted < r->length ? wanted : r->length;
  const uint8_t *at = r->buffer + r->start;
  r->start += *got, r->length -= *got;
  return at;
}

static bool read_exactly(struct tar_stream *r, void *out, size_t length) {
  uint8_t *at = out;
  while (length > 0) {
    size_t got;
    const uint8_t *data = tar_take(r, length, &got);
    if (data == NULL) {
      return false;
    }
    memcpy(at, data, got);
    at += got, length -= got;
  }
  return true;
}

bool tar_skip(struct tar_stream *r, uint64_t length) {
  while (length > 0) {
    size_t got;
    if (tar_take(r, length < TAR_BUFFER ? (size_t)length : TAR_BUFFER, &got) == NULL) {
      return false;
    }
    length -= got;
  }
  return true;
}

uint64_t tar_padding(uint64_t size) { return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK; }

int tar_problem(const struct tar_stream *r, const char *what) { return fail(REASON_ARCHIVE, "tar entry %.300s: %s", r->entry.name, what); }

static bool read_blob(struct tar_stream *r, char **out, size_t *length) {
  uint64_t size = r->entry.size;
  free(*out);
  *out = size > TAR_MAX_PAX ? NULL : malloc((size_t)size + 1);
  *length = (size_t)size;
  if (*out == NULL || !read_exactly(r, *out, (size_t)size) || !tar_skip(r, tar_padding(size))) {
    *length = 0;
    return false;
  }
  (*out)[size] = 0;
  return true;
}

static bool apply_pax(struct tar_stream *r) {
  const char *at = r->pax, *key, *value;
  size_t key_length, value_length;
  while (pax_next(&at, r->pax + r->pax_length, &key, &key_length, &value, &value_length)) {
    if (!pax_apply(&r->entry, key, key_length, value, value_length)) {
      return false;
    }
  }
  return r->pax_length == 0 || at != NULL;
}

/* What GNU tar has in place of PAX records for names that are too long. */
struct long_names {
  char *name, *link;
};

/* The content of a header that is about the next entry. */
static bool read_extension(struct tar_stream *r, struct long_names *names) {
  char *global = NULL;
  size_t length;
  switch (r->entry.type) {
    case 'x': return read_blob(r, &r->pax, &r->pax_length);
    case 'L': return read_blob(r, &names->name, &length) && length < TAR_NAME;
    case 'K': return read_blob(r, &names->link, &length) && length < TAR_NAME;
  }
  bool ok = read_blob(r, &global, &length);
  free(global);
  return ok;
}

static int read_headers(struct tar_stream *r, struct long_names *names) {
  uint8_t block[TAR_BLOCK];
  for (;;) {
    if (!read_exactly(r, block, sizeof block) || !tar_parse(block, &r->entry)) {
      return fail(REASON_ARCHIVE, "the tar stream is damaged or ends early");
    }
    if (r->entry.type == 0) {
      return 0;
    }
    if (strchr("xLKg", r->entry.type) == NULL) {
      return 1;
    }
    if (!read_extension(r, names)) {
      return fail(REASON_ARCHIVE, "the tar stream has an extended header that is damaged or too long");
    }
  }
}

int tar_next(struct tar_stream *r) {
  struct long_names names = {NULL, NULL};
  r->pax_length = 0;
  int result = read_headers(r, &names);
  if (result == 1) {
    if (names.name != NULL) {
      snprintf(r->entry.name, TAR_NAME, "%s", names.name);
    }
    if (names.link != NULL) {
      snprintf(r->entry.link, TAR_NAME, "%s", names.link);
    }
    if (!apply_pax(r) || r->entry.uid > UINT32_MAX || r->entry.gid > UINT32_MAX) {
      result = tar_problem(r, "its extended header is damaged");
    }
  }
  free(names.name), free(names.link);
  return result;
}
