#include "link/host_link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/loop.h"

enum { BULK_LIMIT = 64 << 10, OUT_LIMIT = 4 << 20, HOST_GONE_MS = 500 };

static const struct link_handlers *on;
static struct watch port = {.fd = -1};
static bool port_is_stream, connected;
static struct decoder decoder;
static uint8_t nonce[NONCE_SIZE];
static uint8_t *out;
static size_t out_start, out_length, out_capacity;

void link_init(const struct link_handlers *handlers) { on = handlers; }
bool link_connected(void) { return connected; }
bool link_has_room(void) { return connected && out_length < BULK_LIMIT; }
bool link_is_empty(void) { return out_length == 0; }

static void end_session(void) {
  if (connected) {
    connected = false;
    out_start = out_length = 0;
    on->session(false);
  }
}

static bool reserve(size_t length) {
  if (out_start + out_length + length <= out_capacity) {
    return true;
  }
  if (out_length > 0) {
    memmove(out, out + out_start, out_length);
  }
  out_start = 0;
  if (out_length + length <= out_capacity) {
    return true;
  }
  size_t capacity = (out_length + length) * 2;
  uint8_t *bigger = capacity > OUT_LIMIT ? NULL : realloc(out, capacity);
  if (bigger == NULL) {
    return false;
  }
  out = bigger, out_capacity = capacity;
  return true;
}

static void append(const void *data, size_t length) {
  if (length > 0) {
    memcpy(out + out_start + out_length, data, length);
    out_length += length;
  }
}

static void queue_frame(uint8_t type, uint8_t flags, uint32_t channel, const void *a, size_t na, const void *b, size_t nb) {
  uint8_t header[HEADER_SIZE] = {type, flags};
  const uint8_t end = FRAME_END;
  if (!reserve(sizeof header + na + nb + 1)) {
    /* This host sends requests and never reads: give up its session. */
    end_session();
    return;
  }
  put32(header + 2, channel);
  put32(header + 6, (uint32_t)(na + nb));
  append(header, sizeof header), append(a, na), append(b, nb), append(&end, 1);
}

void link_send_parts(uint8_t type, uint8_t flags, uint32_t channel, const void *head, size_t nh, const void *body, size_t nb) {
  if (connected) {
    queue_frame(type, flags, channel, head, nh, body, nb);
  }
}

void link_send(uint8_t type, uint8_t flags, uint32_t channel, const void *payload, size_t length) {
  link_send_parts(type, flags, channel, payload, length, NULL, 0);
}

void link_answer_fields(uint32_t channel, const struct writer *fields) {
  static const uint8_t ok[2];
  link_send_parts(FRAME_ANSWER, 0, channel, ok, 2, fields->bytes, fields->length);
}

void link_answer_done(uint32_t channel) {
  static const uint8_t ok[2] = {STATUS_OK};
  link_send(FRAME_ANSWER, 0, channel, ok, sizeof ok);
}

void link_refuse(uint32_t channel, uint16_t status, uint16_t reason, const char *text) {
  struct writer w;
  uint8_t head[2];
  writer_init(&w);
  put16(head, status);
  write_int(&w, TAG_ANSWER_REASON, reason);
  write_text(&w, TAG_ANSWER_TEXT, text);
  link_send_parts(FRAME_ANSWER, 0, channel, head, sizeof head, w.bytes, w.length);
}

void link_fault(const char *text) { link_send(FRAME_FAULT, 0, 0, text, strlen(text)); }

void link_flush(void) {
  while (port.fd >= 0 && out_length > 0) {
    ssize_t n = write(port.fd, out + out_start, out_length > 32768 ? 32768 : out_length);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      if (n < 0 && errno != EAGAIN) {
        end_session();
      }
      break;
    }
    out_start += (size_t)n, out_length -= (size_t)n;
  }
  out_start = out_length == 0 ? 0 : out_start;
}

/* The same HELLO again is a host that got impatient: its session goes on. */
static void welcome(const struct frame *frame) {
  if (frame->length != HELLO_SIZE || memcmp(frame->payload, wire_magic, MAGIC_SIZE) != 0) {
    return;
  }
  const uint8_t *theirs = frame->payload + MAGIC_SIZE + 4;
  if (connected && memcmp(nonce, theirs, NONCE_SIZE) == 0) {
    return;
  }
  /* A frame may be cut off in the port: the new host skips everything up to its nonce. */
  end_session();
  memcpy(nonce, theirs, NONCE_SIZE);
  connected = true;
  uint8_t head[MAGIC_SIZE + NONCE_SIZE + 2];
  memcpy(head, wire_magic, MAGIC_SIZE);
  memcpy(head + MAGIC_SIZE, nonce, NONCE_SIZE);
  put16(head + MAGIC_SIZE + NONCE_SIZE, PROTOCOL_VERSION);
  struct writer w;
  writer_init(&w);
  on->write_info(&w);
  link_send_parts(FRAME_WELCOME, 0, 0, head, sizeof head, w.bytes, w.length);
  bool spoken = get16(frame->payload + MAGIC_SIZE) <= PROTOCOL_VERSION && PROTOCOL_VERSION <= get16(frame->payload + MAGIC_SIZE + 2);
  if (spoken) {
    on->session(true);
  }
}

static void on_frame(void *context, const struct frame *frame) {
  static const char text[] = "there is no session";
  static bool told;
  (void)context;
  if (frame->type == FRAME_HELLO) {
    told = false;
    welcome(frame);
  } else if (connected) {
    on->frame(frame);
  } else if (!told) {
    /* A host that believes in a session we have given up must not wait for ever. */
    told = true;
    queue_frame(FRAME_FAULT, 0, 0, text, sizeof text - 1, NULL, 0);
  }
}

/* The news of a disconnect travels apart from the data and may come after the next host's HELLO. So it ends
 * the session only if the port is still without a host a moment later. */
static void check_host(struct timer *timer) {
  struct pollfd state = {port.fd, POLLIN, 0};
  (void)timer;
  if (port.fd >= 0 && poll(&state, 1, 0) >= 0 && (state.revents & POLLHUP) != 0) {
    end_session();
  }
}

static struct timer host_timer = {.fn = check_host};

static void host_gone(struct watch *watch) {
  if (!port_is_stream) {
    timer_start(&host_timer, HOST_GONE_MS);
    return;
  }
  end_session();
  watch_close(watch);
}

static void on_port(struct watch *watch, uint32_t events) {
  static uint8_t bytes[32768];
  (void)events;
  for (;;) {
    ssize_t n = read(watch->fd, bytes, sizeof bytes);
    if (n > 0) {
      if (!decoder_feed(&decoder, bytes, (size_t)n, on_frame, NULL)) {
        link_fault("a frame was malformed");
      }
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && errno == EAGAIN) {
      break;
    } else {
      /* A virtio port gives 0 for as long as no host is there and wakes us (edge) when one is. */
      host_gone(watch);
      break;
    }
  }
  link_flush();
}

void link_use(int fd, bool is_stream) {
  if (port.fd >= 0) {
    end_session();
    watch_close(&port);
  }
  port = (struct watch){fd, on_port};
  port_is_stream = is_stream;
  loop_watch(&port, EPOLLIN | EPOLLOUT | EPOLLET);
  on_port(&port, 0);
}
