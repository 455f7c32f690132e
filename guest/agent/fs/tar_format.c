#include "fs/tar_format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

void tar_flush(struct tar *t) {
  for (size_t at = 0; at < t->used && !t->failed;) {
    ssize_t n = write(t->out, t->buffer + at, t->used - at);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    t->failed = n <= 0;
    at += n > 0 ? (size_t)n : 0;
  }
  t->used = 0;
}

void tar_put(struct tar *t, const void *data, size_t length) {
  const uint8_t *at = data;
  while (length > 0 && !t->failed) {
    size_t n = BUFFER - t->used < length ? BUFFER - t->used : length;
    memcpy(t->buffer + t->used, at, n);
    t->used += n, at += n, length -= n;
    if (t->used == BUFFER) {
      tar_flush(t);
    }
  }
}

void tar_put_padding(struct tar *t, uint64_t length) {
  static const uint8_t zeros[BLOCK];
  tar_put(t, zeros, (size_t)((BLOCK - length % BLOCK) % BLOCK));
}

/* ---- headers ---- */

struct header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2], uname[32], gname[32],
      major[8], minor[8], prefix[155], pad[12];
};

static void octal(char *field, size_t width, uint64_t value) {
  for (size_t i = width - 1; i-- > 0; value >>= 3) {
    field[i] = (char)('0' + (value & 7));
  }
  field[width - 1] = 0;
}

static bool fits(uint64_t value, unsigned digits) { return value >> (3 * digits) == 0; }

void tar_add_pax(struct tar *t, const char *key, const void *value, size_t length) {
  size_t base = strlen(key) + length + 3, digits = 1, total;
  for (total = base + digits; (size_t)snprintf(NULL, 0, "%zu", total) != digits; total = base + digits) {
    digits++;
  }
  char *bigger = t->pax_length + total > MAX_PAX ? NULL : realloc(t->pax, t->pax_length + total + 1);
  if (bigger == NULL) {
    t->failed = true;
    return;
  }
  t->pax = bigger;
  int n = sprintf(t->pax + t->pax_length, "%zu %s=", total, key);
  memcpy(t->pax + t->pax_length + n, value, length);
  t->pax[t->pax_length + total - 1] = '\n';
  t->pax_length += total;
}

static void pax_number(struct tar *t, const char *key, long long value) {
  char text[32];
  tar_add_pax(t, key, text, (size_t)snprintf(text, sizeof text, "%lld", value));
}

/* A long name goes into prefix and name where it can be cut at a slash, else into a PAX record. */
static void set_name(struct tar *t, struct header *h, const char *name) {
  size_t length = strlen(name);
  if (length <= sizeof h->name) {
    memcpy(h->name, name, length);
    return;
  }
  for (size_t cut = length - 1; cut > 0; cut--) {
    if (name[cut] == '/' && cut <= sizeof h->prefix && length - cut - 1 <= sizeof h->name && length - cut - 1 > 0) {
      memcpy(h->prefix, name, cut);
      memcpy(h->name, name + cut + 1, length - cut - 1);
      return;
    }
  }
  tar_add_pax(t, "path", name, length);
  memcpy(h->name, name + length - sizeof h->name, sizeof h->name);
}

static void seal(struct header *h) {
  unsigned sum = 0;
  memcpy(h->magic, "ustar", 6);
  memcpy(h->version, "00", 2);
  memset(h->checksum, ' ', sizeof h->checksum);
  for (size_t i = 0; i < sizeof *h; i++) {
    sum += ((const uint8_t *)h)[i];
  }
  octal(h->checksum, 7, sum);
}

static void put_pax(struct tar *t) {
  struct header h;
  if (t->pax_length == 0) {
    return;
  }
  memset(&h, 0, sizeof h);
  memcpy(h.name, "PaxHeaders/entry", 16);
  octal(h.mode, 8, 0644), octal(h.uid, 8, 0), octal(h.gid, 8, 0), octal(h.mtime, 12, 0), octal(h.size, 12, t->pax_length);
  h.type = 'x';
  seal(&h);
  tar_put(t, &h, sizeof h);
  tar_put(t, t->pax, t->pax_length);
  tar_put_padding(t, t->pax_length);
  t->pax_length = 0;
}

void tar_put_header(struct tar *t, const char *name, const struct stat *st, char type, const char *link, uint64_t size) {
  struct header h;
  memset(&h, 0, sizeof h);
  set_name(t, &h, name);
  octal(h.mode, 8, st->st_mode & 07777);
  octal(h.uid, 8, fits(st->st_uid, 7) ? st->st_uid : 0), octal(h.gid, 8, fits(st->st_gid, 7) ? st->st_gid : 0);
  octal(h.size, 12, fits(size, 11) ? size : 0);
  bool time_fits = st->st_mtime >= 0 && fits((uint64_t)st->st_mtime, 11);
  octal(h.mtime, 12, time_fits ? (uint64_t)st->st_mtime : 0);
  if (!fits(st->st_uid, 7)) {
    pax_number(t, "uid", st->st_uid);
  }
  if (!fits(st->st_gid, 7)) {
    pax_number(t, "gid", st->st_gid);
  }
  if (!fits(size, 11)) {
    pax_number(t, "size", (long long)size);
  }
  if (!time_fits) {
    pax_number(t, "mtime", st->st_mtime);
  }
  if (link != NULL && strlen(link) > sizeof h.link) {
    tar_add_pax(t, "linkpath", link, strlen(link));
  } else if (link != NULL) {
    memcpy(h.link, link, strlen(link));
  }
  if (type == '3' || type == '4') {
    octal(h.major, 8, major(st->st_rdev)), octal(h.minor, 8, minor(st->st_rdev));
  }
  h.type = type;
  put_pax(t);
  seal(&h);
  tar_put(t, &h, sizeof h);
}
