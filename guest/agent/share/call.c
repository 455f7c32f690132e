#include "share/call.h"

#include <string.h>

#include <linux/fuse.h>

enum { MAX_NAME = 255 };

bool call_begin(struct call *call, const uint8_t *bytes, size_t length) {
  struct fuse_in_header head;
  if (length < sizeof head) {
    return false;
  }
  memcpy(&head, bytes, sizeof head);
  call->opcode = head.opcode, call->uid = head.uid, call->gid = head.gid;
  call->unique = head.unique, call->node = head.nodeid;
  call->at = bytes + sizeof head, call->end = bytes + length;
  call->out_length = 0;
  return head.len == length;
}

bool call_take(struct call *call, void *into, size_t size) {
  if ((size_t)(call->end - call->at) < size) {
    return false;
  }
  memcpy(into, call->at, size);
  call->at += size;
  return true;
}

const char *call_text(struct call *call) {
  const uint8_t *end = memchr(call->at, 0, (size_t)(call->end - call->at));
  const char *text = (const char *)call->at;
  if (end == NULL) {
    return NULL;
  }
  call->at = end + 1;
  return text;
}

const char *call_name(struct call *call) {
  const char *name = call_text(call);
  bool ok = name != NULL && name[0] != 0 && strlen(name) <= MAX_NAME && strchr(name, '/') == NULL;
  return ok && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 ? name : NULL;
}

void call_add(struct call *call, const void *from, size_t size) {
  memcpy(call->out + call->out_length, from, size);
  call->out_length += size;
}
