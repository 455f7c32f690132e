#include "dns/dns_message.h"

#include <stdio.h>
#include <string.h>

enum { HEADER = 12, TTL = 5 };

static uint16_t be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static void set16(uint8_t *p, size_t v) { p[0] = (uint8_t)(v >> 8), p[1] = (uint8_t)v; }

bool dns_parse(const uint8_t *m, size_t length, struct dns_question *out) {
  size_t at = HEADER, n = 0;
  if (length < HEADER || (m[2] & 0xf8) != 0 || be16(m + 4) != 1) {
    return false;
  }
  while (at < length && m[at] != 0) {
    size_t label = m[at++];
    /* A compressed name has nothing to point to in a question. */
    if (label > 63 || at + label > length || n + label + 1 >= sizeof out->name) {
      return false;
    }
    if (n > 0) {
      out->name[n++] = '.';
    }
    for (size_t i = 0; i < label; i++, at++) {
      uint8_t c = m[at];
      out->name[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c == 0 ? '?' : c);
    }
  }
  out->name[n] = 0;
  if (at + 5 > length) {
    return false;
  }
  out->type = be16(m + at + 1), out->class = be16(m + at + 3), out->end = at + 5;
  return true;
}

size_t dns_reply(uint8_t *m, const struct dns_question *q, int code) {
  m[2] = (uint8_t)(0x80 | (m[2] & 0x01));
  m[3] = (uint8_t)(0x80 | code);
  memset(m + 6, 0, 6);
  return q->end;
}

static size_t add_record(uint8_t *m, size_t length, size_t size, uint16_t type, const uint8_t *data, size_t n) {
  if (length + 12 + n > size) {
    m[2] |= 0x02;
    return length;
  }
  uint8_t *r = m + length;
  set16(r, 0xc000 | HEADER), set16(r + 2, type), set16(r + 4, 1), set16(r + 6, 0), set16(r + 8, TTL), set16(r + 10, n);
  memcpy(r + 12, data, n);
  set16(m + 6, be16(m + 6) + 1u);
  return length + 12 + n;
}

size_t dns_add_a(uint8_t *m, size_t length, size_t size, const uint8_t address[4]) {
  return add_record(m, length, size, DNS_A, address, 4);
}

size_t dns_add_aaaa(uint8_t *m, size_t length, size_t size, const uint8_t address[16]) {
  return add_record(m, length, size, DNS_AAAA, address, 16);
}

size_t dns_add_ptr(uint8_t *m, size_t length, size_t size, const char *name) {
  uint8_t data[260];
  size_t n = 0;
  for (const char *at = name; *at != 0;) {
    size_t label = strcspn(at, ".");
    if (label == 0 || label > 63 || n + label + 2 > sizeof data) {
      return length;
    }
    data[n++] = (uint8_t)label;
    memcpy(data + n, at, label);
    n += label;
    at += label + (at[label] == '.');
  }
  data[n++] = 0;
  return add_record(m, length, size, DNS_PTR, data, n);
}

bool dns_reverse(const char *name, uint8_t address[4]) {
  unsigned a, b, c, d;
  int end = 0;
  if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &d, &c, &b, &a, &end) != 4 || end == 0 || name[end] != 0) {
    return false;
  }
  address[0] = (uint8_t)a, address[1] = (uint8_t)b, address[2] = (uint8_t)c, address[3] = (uint8_t)d;
  return a < 256 && b < 256 && c < 256 && d < 256;
}
