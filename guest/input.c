/* Input of a process: frames of the host → a buffer of one window → pipe or pty. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "kestrel.h"

void input_window(const struct proc *p, uint64_t limit) {
  uint8_t payload[8];
  put64(payload, limit);
  channel_send(F_INPUT_WINDOW, 0, p->channel, payload, sizeof payload);
}

/* Nobody reads any more: the host may send what it likes, it goes nowhere. */
void input_refuse(struct proc *p) {
  watch_close(&p->input);
  if (!p->discard_input) {
    p->discard_input = true;
    input_window(p, UINT64_MAX);
  }
}

static void finish_input(struct proc *p) {
  static const char end_of_transmission = 4;
  if (p->pty >= 0 && p->input.fd >= 0 && write(p->input.fd, &end_of_transmission, 1) < 0) {
    input_refuse(p);
  }
  watch_close(&p->input);
}

static void pump_input(struct proc *p) {
  while (p->input.fd >= 0 && p->input_written < p->input_received) {
    size_t at = (size_t)(p->input_written % INPUT_BUFFER), n = (size_t)(p->input_received - p->input_written);
    n = INPUT_BUFFER - at < n ? INPUT_BUFFER - at : n;
    ssize_t done = write(p->input.fd, p->input_buffer + at, n);
    if (done < 0 && errno == EINTR) {
      continue;
    }
    if (done < 0 && errno == EAGAIN) {
      loop_change(&p->input, EPOLLOUT);
      break;
    }
    if (done <= 0) {
      input_refuse(p);
      return;
    }
    p->input_written += (uint64_t)done;
  }
  bool empty = p->input_written == p->input_received;
  if (!p->discard_input && p->input_written + INPUT_BUFFER >= p->input_limit + INPUT_BUFFER / 4) {
    p->input_limit = p->input_written + INPUT_BUFFER;
    input_window(p, p->input_limit);
  }
  if (empty && p->input.fd >= 0) {
    loop_change(&p->input, 0);
    if (p->input_ended) {
      finish_input(p);
    }
  }
}

static void on_input(struct watch *watch, uint32_t events) {
  struct proc *p = (struct proc *)(void *)((char *)watch - offsetof(struct proc, input));
  if (events & (EPOLLERR | EPOLLHUP)) {
    input_refuse(p);
  } else {
    pump_input(p);
  }
}

void proc_input(struct proc *p, const uint8_t *data, size_t length) {
  if (p->discard_input || p->input.fd < 0) {
    return;
  }
  if (p->input_received + length > p->input_limit) {
    channel_fault("more input than its window allows");
    return;
  }
  for (size_t i = 0; i < length; i++) {
    p->input_buffer[(p->input_received + i) % INPUT_BUFFER] = data[i];
  }
  p->input_received += length;
  pump_input(p);
}

void proc_input_end(struct proc *p) {
  p->input_ended = true;
  if (p->input.fd >= 0) {
    pump_input(p);
  }
}

bool input_open(struct proc *p, int fd) {
  p->input_buffer = malloc(INPUT_BUFFER);
  p->input = (struct watch){fd, on_input};
  return p->input_buffer != NULL && loop_watch(&p->input, 0);
}
