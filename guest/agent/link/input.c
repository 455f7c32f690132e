#include "link/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "link/host_link.h"

void input_init(struct input *in, uint32_t channel) { *in = (struct input){.watch = {.fd = -1}, .limit = INPUT_BUFFER, .channel = channel}; }

static void tell_limit(const struct input *in, uint64_t limit) {
  uint8_t payload[8];
  put64(payload, limit);
  link_send(FRAME_INPUT_WINDOW, 0, in->channel, payload, sizeof payload);
}

void input_forget(struct input *in) {
  watch_close(&in->watch);
  in->refused = true;
}

void input_refuse(struct input *in) {
  bool told = in->refused;
  input_forget(in);
  if (!told) {
    tell_limit(in, UINT64_MAX);
  }
}

static void finish(struct input *in) {
  static const char end_of_transmission = 4;
  if (in->is_tty && in->watch.fd >= 0 && write(in->watch.fd, &end_of_transmission, 1) < 0) {
    input_refuse(in);
  }
  watch_close(&in->watch);
}

static void pump(struct input *in) {
  while (in->watch.fd >= 0 && in->written < in->received) {
    size_t at = (size_t)(in->written % INPUT_BUFFER), n = (size_t)(in->received - in->written);
    n = INPUT_BUFFER - at < n ? INPUT_BUFFER - at : n;
    ssize_t done = write(in->watch.fd, in->buffer + at, n);
    if (done < 0 && errno == EINTR) {
      continue;
    }
    if (done < 0 && errno == EAGAIN) {
      loop_change(&in->watch, EPOLLOUT);
      break;
    }
    if (done <= 0) {
      input_refuse(in);
      return;
    }
    in->written += (uint64_t)done;
  }
  if (!in->refused && in->written + INPUT_BUFFER >= in->limit + INPUT_BUFFER / 4) {
    in->limit = in->written + INPUT_BUFFER;
    tell_limit(in, in->limit);
  }
  if (in->written == in->received && in->watch.fd >= 0) {
    loop_change(&in->watch, 0);
    if (in->ended) {
      finish(in);
    }
  }
}

static void on_writable(struct watch *watch, uint32_t events) {
  struct input *in = (struct input *)(void *)watch;
  if (events & (EPOLLERR | EPOLLHUP)) {
    input_refuse(in);
  } else {
    pump(in);
  }
}

bool input_open(struct input *in, int fd, bool is_tty) {
  in->buffer = malloc(INPUT_BUFFER);
  in->watch = (struct watch){fd, on_writable};
  in->is_tty = is_tty;
  return in->buffer != NULL && loop_watch(&in->watch, 0);
}

void input_close(struct input *in) {
  watch_close(&in->watch);
  free(in->buffer);
  in->buffer = NULL;
}

void input_attach(struct input *in, uint32_t channel) {
  in->channel = channel;
  tell_limit(in, in->refused ? UINT64_MAX : in->limit);
}

void input_data(struct input *in, const uint8_t *data, size_t length) {
  if (in->refused || in->watch.fd < 0) {
    return;
  }
  if (in->received + length > in->limit) {
    link_fault("more input than its window allows");
    return;
  }
  /* On an emulated processor this takes half of the time that a loop over bytes takes. */
  size_t at = (size_t)(in->received % INPUT_BUFFER), first = INPUT_BUFFER - at < length ? INPUT_BUFFER - at : length;
  memcpy(in->buffer + at, data, first);
  memcpy(in->buffer, data + first, length - first);
  in->received += length;
  pump(in);
}

void input_end(struct input *in) {
  in->ended = true;
  if (in->watch.fd >= 0) {
    pump(in);
  }
}
