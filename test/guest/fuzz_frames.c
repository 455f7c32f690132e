/*
 * Feeds a file (or stdin) to everything that parses bytes of the channel, of tar streams and of DNS, as the agent
 * would. Not part of the agent: built with sanitizers by test/guest/fuzz.test.ts. Input: records of u16 length and
 * bytes; the first byte of a record says which parser gets the rest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dns/dns_message.h"
#include "fs/tar_header.h"
#include "lib/wire.h"
#include "requests/edits.h"
#include "requests/machine_config.h"
#include "requests/process_spec.h"
#include "requests/simple_request.h"

static struct decoder decoder;
static uint64_t seen;

static void touch(const char *text) { seen += text == NULL ? 0 : strlen(text); }

static void decode_requests(const uint8_t *bytes, size_t length) {
  struct arena arena = {0};
  struct machine_config machine = {0};
  struct process_spec process = {0};
  struct simple_request simple = {0};
  struct edits edits = {0};
  if (decode_machine(&arena, (struct fields){bytes, bytes + length}, &machine) == NULL) {
    touch(machine.hostname), touch(machine.root_disk);
    for (size_t i = 0; i < machine.mount_count; i++) {
      if (machine.mounts[i].synced && (machine.mounts[i].source == NULL || machine.mounts[i].file != NULL || machine.mounts[i].subpath != NULL)) {
        abort();
      }
    }
    for (size_t i = 0; i < machine.name_count; i++) {
      touch(machine.names[i].name);
      for (size_t k = 0; k < machine.names[i].count; k++) {
        seen += machine.names[i].addresses[k][3];
      }
    }
    for (size_t i = 0; i < machine.file_count; i++) {
      touch(machine.files[i].path);
      seen += machine.files[i].length > 0 ? machine.files[i].content[machine.files[i].length - 1] : 0;
    }
  }
  arena_free(&arena);
  arena.failed = false;
  if (decode_process(&arena, (struct fields){bytes, bytes + length}, &process) == NULL) {
    for (size_t i = 0; process.args.items[i] != NULL; i++) {
      touch(process.args.items[i]);
    }
    for (size_t i = 0; i < process.mount_count; i++) {
      const struct step_mount *mount = &process.mounts[i];
      touch(mount->target), touch(mount->source), touch(mount->path), touch(mount->seed), touch(mount->seed_path);
      seen += mount->length > 0 ? mount->content[mount->length - 1] : 0;
    }
  }
  arena_free(&arena);
  arena.failed = false;
  if (decode_simple(&arena, (struct fields){bytes, bytes + length}, &simple) == NULL) {
    touch(simple.path);
  }
  arena_free(&arena);
  arena.failed = false;
  if (decode_edits(&arena, (struct fields){bytes, bytes + length}, &edits) == NULL) {
    const struct strings *lists[] = {&edits.written, &edits.appeared, &edits.gone, &edits.folders};
    touch(edits.share);
    for (size_t i = 0; i < 4; i++) {
      for (size_t k = 0; k < lists[i]->count; k++) {
        touch(lists[i]->items[k]);
      }
    }
  }
  arena_free(&arena);
}

static void on_frame(void *context, const struct frame *frame) {
  (void)context;
  seen += frame->type + frame->channel;
  if (frame->length >= 2) {
    decode_requests(frame->payload + 2, frame->length - 2);
  }
}

static void feed_tar(const uint8_t *bytes, size_t length) {
  static struct tar_entry entry;
  uint8_t block[TAR_BLOCK] = {0};
  memcpy(block, bytes, length < sizeof block ? length : sizeof block);
  /* A random checksum is never right: set it, so that the numbers behind it are read too. */
  unsigned sum = 0;
  memset(block + 148, ' ', 8);
  for (size_t i = 0; i < sizeof block; i++) {
    sum += block[i];
  }
  snprintf((char *)block + 148, 7, "%06o", sum);
  if (tar_parse(block, &entry)) {
    touch(entry.name), touch(entry.link);
    if (tar_clean_name(entry.name)) {
      char padded[TAR_NAME + 2];
      snprintf(padded, sizeof padded, "/%s/", entry.name);
      if (strstr(padded, "/../") != NULL || (entry.name[0] != 0 && strstr(padded, "//") != NULL)) {
        abort();
      }
    }
  }
  char *copy = malloc(length + 1);
  memcpy(copy, bytes, length);
  const char *at = copy, *key, *value;
  size_t kn, vn;
  while (pax_next(&at, copy + length, &key, &kn, &value, &vn)) {
    seen += pax_apply(&entry, key, kn, value, vn);
  }
  free(copy);
}

static void feed_dns(const uint8_t *bytes, size_t length) {
  struct dns_question question;
  static const uint8_t address[4] = {10, 0, 0, 1};
  uint8_t found[4], *message = malloc(length + 64);
  memcpy(message, bytes, length);
  if (dns_parse(message, length, &question)) {
    size_t n = dns_reply(message, &question, 0);
    n = dns_add_a(message, n, length + 64, address);
    n = dns_add_ptr(message, n, length + 64, question.name);
    seen += n + dns_reverse(question.name, found);
  }
  free(message);
}

int main(int argc, char **argv) {
  FILE *in = argc > 1 ? fopen(argv[1], "rb") : stdin;
  static uint8_t record[65536];
  uint8_t head[2];
  while (in != NULL && fread(head, 1, 2, in) == 2) {
    size_t length = fread(record, 1, get16(head), in);
    /* Exact allocations let the sanitizer see one byte too far. */
    uint8_t *bytes = malloc(length + 1);
    size_t n = length > 0 ? length - 1 : 0;
    memcpy(bytes, record + 1, n);
    switch (length > 0 ? record[0] % 4 : 0) {
      case 0: decoder_feed(&decoder, bytes, n, on_frame, NULL); break;
      case 1: decode_requests(bytes, n); break;
      case 2: feed_tar(bytes, n); break;
      case 3: feed_dns(bytes, n); break;
    }
    free(bytes);
  }
  printf("%llu\n", (unsigned long long)seen);
  return in == NULL;
}
