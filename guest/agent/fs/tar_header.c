#include "fs/tar_header.h"

#include <stdlib.h>
#include <string.h>

/* Octal text, or base-256 when the top bit is set (GNU). */
static bool parse_number(const uint8_t *field, size_t width, int64_t *out) {
  uint64_t value = 0;
  size_t i = 0;
  if (field[0] & 0x80) {
    bool negative = field[0] == 0xff;
    for (i = 1; i < width; i++) {
      if (i + 8 < width && field[i] != (negative ? 0xff : 0)) {
        return false;
      }
      value = value << 8 | field[i];
    }
    *out = (int64_t)value;
    return width > 8 || !negative || *out < 0 ? true : (*out = (int64_t)(value | ~(uint64_t)0 << (8 * (width - 1))), true);
  }
  while (i < width && field[i] == ' ') {
    i++;
  }
  for (; i < width && field[i] >= '0' && field[i] <= '7'; i++) {
    value = value << 3 | (uint64_t)(field[i] - '0');
  }
  *out = (int64_t)value;
  return i == width || field[i] == 0 || field[i] == ' ';
}

static void copy_text(char *out, const uint8_t *field, size_t width) {
  size_t n = 0;
  while (n < width && field[n] != 0) {
    n++;
  }
  memcpy(out, field, n);
  out[n] = 0;
}

static bool checksum_ok(const uint8_t *b) {
  int64_t said = 0;
  uint64_t sum = 0;
  for (size_t i = 0; i < TAR_BLOCK; i++) {
    sum += i >= 148 && i < 156 ? ' ' : b[i];
  }
  return parse_number(b + 148, 8, &said) && (uint64_t)said == sum;
}

bool tar_parse(const uint8_t b[TAR_BLOCK], struct tar_entry *e) {
  int64_t mode, uid, gid, size, mtime, major = 0, minor = 0;
  e->name[0] = e->link[0] = 0, e->type = 0;
  bool empty = true;
  for (size_t i = 0; empty && i < TAR_BLOCK; i++) {
    empty = b[i] == 0;
  }
  if (empty) {
    return true;
  }
  if (!checksum_ok(b) || !parse_number(b + 100, 8, &mode) || !parse_number(b + 108, 8, &uid) || !parse_number(b + 116, 8, &gid) ||
      !parse_number(b + 124, 12, &size) || !parse_number(b + 136, 12, &mtime) || size < 0 || uid < 0 || gid < 0) {
    return false;
  }
  bool ustar = memcmp(b + 257, "ustar", 5) == 0;
  e->type = b[156] == 0 || b[156] == '7' ? '0' : (char)b[156];
  if (ustar && (e->type == '3' || e->type == '4') && (!parse_number(b + 329, 8, &major) || !parse_number(b + 337, 8, &minor))) {
    return false;
  }
  size_t at = 0;
  /* GNU's own magic uses the prefix field for other things. */
  if (ustar && b[262] == 0 && b[345] != 0) {
    copy_text(e->name, b + 345, 155);
    at = strlen(e->name);
    e->name[at++] = '/';
  }
  copy_text(e->name + at, b, 100);
  copy_text(e->link, b + 157, 100);
  e->mode = (uint32_t)mode & 07777, e->uid = (uint64_t)uid, e->gid = (uint64_t)gid, e->size = (uint64_t)size, e->mtime = mtime;
  e->major = (uint32_t)major, e->minor = (uint32_t)minor;
  return true;
}

bool pax_next(const char **at, const char *end, const char **key, size_t *key_length, const char **value, size_t *value_length) {
  const char *start = *at, *p = start;
  size_t total = 0;
  if (p == NULL || p >= end || *p == 0) {
    return false;
  }
  *at = NULL;
  while (p < end && *p >= '0' && *p <= '9' && total <= TAR_MAX_PAX) {
    total = total * 10 + (size_t)(*p++ - '0');
  }
  if (p >= end || *p != ' ' || total > (size_t)(end - start) || start + total <= p + 1 || start[total - 1] != '\n') {
    return false;
  }
  const char *equals = memchr(p + 1, '=', (size_t)(start + total - p - 1));
  if (equals == NULL) {
    return false;
  }
  *key = p + 1, *key_length = (size_t)(equals - p - 1);
  *value = equals + 1, *value_length = (size_t)(start + total - 1 - equals - 1);
  *at = start + total;
  return true;
}

static bool is_key(const char *key, size_t length, const char *name) { return strlen(name) == length && memcmp(key, name, length) == 0; }

static bool set_text(char *out, const char *value, size_t length) {
  if (length >= TAR_NAME || memchr(value, 0, length) != NULL) {
    return false;
  }
  memcpy(out, value, length);
  out[length] = 0;
  return true;
}

/* Whole seconds; fractions are dropped (towards the past for negative times is not worth it). */
static bool parse_decimal(const char *value, size_t length, int64_t *out) {
  size_t i = length > 0 && value[0] == '-' ? 1 : 0;
  bool negative = i == 1, any = false;
  int64_t number = 0;
  for (; i < length && value[i] >= '0' && value[i] <= '9'; i++, any = true) {
    if (number > (INT64_MAX - 9) / 10) {
      return false;
    }
    number = number * 10 + (value[i] - '0');
  }
  *out = negative ? -number : number;
  return any && (i == length || value[i] == '.');
}

bool pax_apply(struct tar_entry *e, const char *key, size_t key_length, const char *value, size_t length) {
  int64_t number = 0;
  if (is_key(key, key_length, "path")) {
    return set_text(e->name, value, length);
  }
  if (is_key(key, key_length, "linkpath")) {
    return set_text(e->link, value, length);
  }
  if (is_key(key, key_length, "mtime")) {
    return parse_decimal(value, length, &e->mtime);
  }
  uint64_t *field = is_key(key, key_length, "size") ? &e->size : is_key(key, key_length, "uid") ? &e->uid : is_key(key, key_length, "gid") ? &e->gid : NULL;
  if (field == NULL) {
    return true;
  }
  bool ok = parse_decimal(value, length, &number) && number >= 0;
  *field = (uint64_t)number;
  return ok;
}

bool tar_clean_name(char *name) {
  char *out = name;
  for (const char *at = name; *at != 0;) {
    size_t n = strcspn(at, "/");
    if (n == 2 && at[0] == '.' && at[1] == '.') {
      return false;
    }
    if (n > 255) {
      return false;
    }
    if (n > 0 && !(n == 1 && at[0] == '.')) {
      if (out != name) {
        *out++ = '/';
      }
      memmove(out, at, n);
      out += n;
    }
    at += n + (at[n] == '/');
  }
  *out = 0;
  return true;
}
