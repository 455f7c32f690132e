/*
 * kestrel: PID 1 of every machine. It boots to "waiting for its configuration", then does what the host asks for over the
 * agent channel (docs/guest-protocol.md). One thread; whatever may block or parse hostile bytes runs in a
 * fork. Built with -DKESTREL_HOST_TEST it is an ordinary program that listens on a unix socket.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/boot.h"
#include "handlers/handle_request.h"
#include "ports/listen_ports.h"
#include "handlers/machine_state.h"
#include "handlers/power.h"
#include "lib/host_test.h"
#include "lib/loop.h"
#include "link/host_link.h"
#include "process/mirrors.h"
#include "process/process_end.h"

/* ---- frames ---- */

static struct {
  uint8_t *bytes;
  size_t length, capacity;
  uint32_t channel;
} assembly;

static void assembly_reset(void) {
  free(assembly.bytes);
  memset(&assembly, 0, sizeof assembly);
}

/* `kept` is memory that the handler may keep; without it, the bytes are there only while the request is handled. */
static uint8_t *on_whole_request(uint32_t channel, const uint8_t *bytes, size_t length, uint8_t *kept) {
  if (length < 2) {
    link_fault("a request is too short");
    return kept;
  }
  struct request request = {channel, get16(bytes), {bytes + 2, bytes + length}, kept};
  handle_request(&request);
  return request.bytes;
}

/* A request may be longer than a frame: its parts come one after the other on its channel. */
static void on_request(const struct frame *frame) {
  if (assembly.length == 0 && !(frame->flags & FLAG_MORE)) {
    on_whole_request(frame->channel, frame->payload, frame->length, NULL);
    return;
  }
  if (assembly.length > 0 && assembly.channel != frame->channel) {
    link_fault("two requests were mixed");
    assembly_reset();
    return;
  }
  size_t length = assembly.length + frame->length;
  if (length > assembly.capacity) {
    size_t capacity = length < 4096 ? 4096 : length * 2;
    uint8_t *bigger = length > MAX_REQUEST ? NULL : realloc(assembly.bytes, capacity);
    if (bigger == NULL) {
      link_fault("a request is too long");
      assembly_reset();
      return;
    }
    assembly.bytes = bigger, assembly.capacity = capacity;
  }
  memcpy(assembly.bytes + assembly.length, frame->payload, frame->length);
  assembly.length = length, assembly.channel = frame->channel;
  if (frame->flags & FLAG_MORE) {
    return;
  }
  assembly.bytes = on_whole_request(frame->channel, assembly.bytes, length, assembly.bytes);
  assembly_reset();
}

static void on_window(const struct frame *frame) {
  struct proc *p = proc_by_channel(frame->channel);
  if (p != NULL && frame->length == 16 && (frame->flags == 1 || frame->flags == 2)) {
    stream_window(&p->out[frame->flags - 1], get64(frame->payload), get64(frame->payload + 8));
  }
}

static void on_frame(const struct frame *frame) {
  struct proc *p;
  switch (frame->type) {
    case FRAME_REQUEST: on_request(frame); return;
    case FRAME_WINDOW: on_window(frame); return;
  }
  p = proc_by_channel(frame->channel);
  if (p == NULL) {
    return;
  }
  switch (frame->type) {
    case FRAME_DATA: input_data(&p->input, frame->payload, frame->length); break;
    case FRAME_EOF: input_end(&p->input); break;
    case FRAME_DROP: proc_drop(p); break;
  }
}

static void on_session(bool connected) {
  assembly_reset();
  mirrors_session();
  if (!connected) {
    procs_detach();
    watch_ports(false);
  }
}

/* ---- the loop ---- */

static void on_signal(struct watch *watch, uint32_t events) {
  struct signalfd_siginfo info;
  (void)events;
  while (read(watch->fd, &info, sizeof info) == sizeof info) {
  }
  procs_reap();
}

static void watch_signals(void) {
  static struct watch watch;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  watch = (struct watch){signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), on_signal};
  loop_watch(&watch, EPOLLIN);
}

int main(int argc, char **argv) {
  static const struct link_handlers handlers = {on_frame, on_session, machine_write_info};
  if (!host_test) {
    /* Its children are not to be traced either, from their first moment on. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  }
  loop_init();
  watch_signals();
  link_init(&handlers);
  procs_on_workload_failed(machine_workload_failed);
  procs_on_workload_exit(machine_workload_exited);
  boot_machine(argc, argv);
  for (;;) {
    loop_step();
    procs_pump();
    link_flush();
    power_step();
  }
}
