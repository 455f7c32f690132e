/* Input of a process: frames of the host → a buffer of one window → pipe or pty. */
#ifndef INPUT_H
#define INPUT_H

#include <stddef.h>

#include "lib/loop.h"

enum { INPUT_BUFFER = 65536 };

struct input {
  struct watch watch;
  uint8_t *buffer;
  /* Bytes since the process began: from the host, to the process, and how far the host may go. */
  uint64_t received, written, limit;
  uint32_t channel;
  bool is_tty, ended, refused;
};

/* Of a process that has no input yet, or none at all. */
void input_init(struct input *in, uint32_t channel);
bool input_open(struct input *in, int fd, bool is_tty);
void input_close(struct input *in);
/* Nobody reads any more: the host may send what it likes, it goes nowhere. */
void input_refuse(struct input *in);
/* The same, and the host is not told. */
void input_forget(struct input *in);
/* Another host sends from now on, over its own channel. */
void input_attach(struct input *in, uint32_t channel);
void input_data(struct input *in, const uint8_t *data, size_t length);
void input_end(struct input *in);

#endif
