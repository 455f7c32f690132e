/* The orders of the host, one function each, and what the machine has come to: which order is possible when. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

#include "kestrel.h"

enum state { WAITING, PREPARED, RUNNING, EXITED };
static enum state state = WAITING;
static struct proc *preparing;
static struct machine_orders machine;
static struct arena machine_arena;
static uint8_t *machine_bytes;

void write_info(struct writer *w) {
  struct utsname kernel;
  uname(&kernel);
  write_text(w, 3, AGENT_VERSION);
  write_text(w, 4, kernel.release);
  write_int(w, 5, state);
  write_int(w, 6, boot_ms());
  if (workload != NULL) {
    write_int(w, 2, (uint64_t)workload->pid);
    if (workload->exited) {
      write_exit(w, &workload->exit);
    }
  }
}

void workload_failed(void) { state = PREPARED; }

void workload_exited(void) {
  state = EXITED;
  struct writer w;
  w.length = 0, w.full = false;
  write_int(&w, 1, 1);
  write_exit(&w, &workload->exit);
  channel_send(F_EVENT, 0, 0, w.bytes, w.length);
}

static void refuse(const struct order *order, const char *text) { channel_answer(order->channel, STATUS_REFUSED, text); }

static int prepare_job(void *argument) { return prepare_machine(argument); }
static int mount_root_job(void *argument) { return prepare_root(argument); }

/* Nobody waits for an answer on channel 0: the host that gave the orders is gone. */
static void end_orders(uint32_t channel, const char *error) {
  preparing = NULL;
  if (channel != 0) {
    channel_answer(channel, error == NULL ? STATUS_OK : STATUS_REFUSED, error);
  }
  arena_free(&machine_arena);
  free(machine_bytes);
  machine_bytes = NULL;
}

static void end_preparing(uint32_t channel, const char *error) {
  if (error == NULL) {
    dns_configure(&machine);
    error = dns_start();
  }
  state = error == NULL ? PREPARED : WAITING;
  if (machine.read_only) {
    launcher_read_only();
  }
  end_orders(channel, error);
}

static const char *job_error(const struct proc *p, bool ok) {
  return ok ? NULL : p->report_length > 0 ? p->report : "the guest's helper died while preparing";
}

static uint32_t asker(const struct proc *p) { return p->orphaned ? 0 : p->channel; }
static void on_prepared(struct proc *p, bool ok) { end_preparing(asker(p), job_error(p, ok)); }
static void on_root_mounted(struct proc *p, bool ok) {
  if (ok) {
    launcher_stage();
  }
  end_orders(asker(p), job_error(p, ok));
}

/* Nothing is left to be done that could wait for a device: the root is mounted, and the card a template's. */
static bool is_brief(void) { return root_is_mounted() && machine.mount_count == 0 && machine.nic_count <= 1; }

/* A fork and its end would cost an emulated guest more than what there is to do. */
static void prepare_here(uint32_t channel) {
  char text[1024];
  mode_t mask = umask(0);
  keep_failure(text, sizeof text);
  bool ok = prepare_machine(&machine) == 0;
  keep_failure(NULL, 0);
  umask(mask);
  end_preparing(channel, ok ? NULL : text);
}

static void do_prepare(struct order *order) {
  if (state != WAITING || preparing != NULL) {
    refuse(order, "the machine is prepared already");
    return;
  }
  memset(&machine, 0, sizeof machine);
  const char *error = decode_machine(&machine_arena, order->list, &machine);
  if (error != NULL) {
    arena_free(&machine_arena);
    refuse(order, error);
    return;
  }
  machine_bytes = order->bytes;
  order->bytes = NULL;
  if (order->opcode == OP_MOUNT_ROOT) {
    preparing = job_start(order->channel, 0, mount_root_job, &machine, on_root_mounted);
  } else if (is_brief()) {
    prepare_here(order->channel);
  } else {
    preparing = job_start(order->channel, 0, prepare_job, &machine, on_prepared);
  }
}

/* For a machine that is to be copied: it has rehearsed a start, and waits for orders again. What it was told stays where
 * the next orders replace it, but for its address, of which it would have two. */
static void do_forget(const struct order *order) {
  if (state != PREPARED || preparing != NULL || workload != NULL || !root_is_mounted()) {
    refuse(order, "there is nothing that could be forgotten");
  } else if (!forget_network()) {
    refuse(order, "the network card does not go back to what it was");
  } else {
    state = WAITING;
    channel_answer(order->channel, STATUS_OK, NULL);
  }
}

static void do_start(struct order *order) {
  struct arena arena = {0};
  struct process_spec spec = {0};
  const char *error = decode_process(&arena, order->list, &spec);
  bool is_workload = order->opcode == OP_START;
  if (error == NULL && state == WAITING) {
    error = "the machine is not prepared";
  } else if (error == NULL && is_workload && (workload != NULL || state != PREPARED)) {
    error = "the workload was started already";
  } else if (error == NULL && !is_workload && state == EXITED) {
    error = "the workload has ended";
  }
  error = error != NULL ? error : proc_start(is_workload ? PROC_WORKLOAD : PROC_EXEC, order->channel, &spec);
  if (error != NULL) {
    refuse(order, error);
  } else if (is_workload) {
    workload = procs;
    state = RUNNING;
  }
  arena_free(&arena);
}

static void do_attach(struct order *order) {
  if (workload == NULL || !workload->answered) {
    refuse(order, "no workload was started");
    return;
  }
  workload->channel = order->channel;
  stream_attach(&workload->out[0], true), stream_attach(&workload->out[1], true);
  struct writer w;
  w.length = 0, w.full = false;
  write_int(&w, 2, (uint64_t)workload->pid);
  write_int(&w, 13, workload->out[0].start), write_int(&w, 14, workload->out[1].start);
  write_int(&w, 15, workload->input_received);
  channel_answer_fields(order->channel, &w);
  proc_attached(workload);
}

static void do_signal(const struct order *order, const struct simple_order *simple) {
  struct proc *p = proc_by_channel((uint32_t)simple->channel);
  if (p == NULL || p->exited || p->kind == PROC_JOB || simple->signal == 0 || simple->signal > 64) {
    refuse(order, "no such process");
    return;
  }
  kill(p->pid, (int)simple->signal);
  channel_answer(order->channel, STATUS_OK, NULL);
}

static void do_resize(const struct order *order, const struct simple_order *simple) {
  struct proc *p = proc_by_channel((uint32_t)simple->channel);
  struct winsize size = {.ws_row = (unsigned short)simple->rows, .ws_col = (unsigned short)simple->columns};
  if (p == NULL || p->pty < 0) {
    refuse(order, "the process has no terminal");
    return;
  }
  ioctl(p->pty, TIOCSWINSZ, &size);
  channel_answer(order->channel, STATUS_OK, NULL);
}

static int files_job(void *argument) {
  const struct machine_orders *orders = argument;
  return write_files(orders->files, orders->file_count);
}

static void do_tables(const struct order *order) {
  struct arena arena = {0};
  struct machine_orders orders = {0};
  const char *error = decode_machine(&arena, order->list, &orders);
  if (error != NULL) {
    refuse(order, error);
  } else if (order->opcode == OP_NAMES) {
    dns_set_names(orders.names, orders.name_count);
    channel_answer(order->channel, STATUS_OK, NULL);
  } else if (state == WAITING) {
    refuse(order, "the machine is not prepared");
  } else {
    job_start(order->channel, 0, files_job, &orders, NULL);
  }
  arena_free(&arena);
}

static int write_tar_job(void *argument) { return tar_extract(0, ((struct simple_order *)argument)->path); }
static int read_tar_job(void *argument) {
  const struct simple_order *order = argument;
  return tar_create(1, order->path, order->flag);
}
static int read_layer_job(void *argument) { return (void)argument, layer_create(1, NULL); }
static int push_layer_job(void *argument) { return push_layer(((struct simple_order *)argument)->flag); }
static int stage_job(void *argument) { return step_stage(((struct simple_order *)argument)->path); }
static int release_job(void *argument) { return step_release(((struct simple_order *)argument)->path); }
static int relay_job(void *argument) { return relay(argument); }
static int sync_job(void *argument) { return (void)argument, sync(), 0; }

static void do_transfer(const struct order *order, struct simple_order *simple) {
  bool needs_path = order->opcode == OP_WRITE_TAR || order->opcode == OP_READ_TAR;
  if (state == WAITING && order->opcode != OP_SYNC) {
    refuse(order, "the machine is not prepared");
  } else if (needs_path && (simple->path == NULL || simple->path[0] != '/')) {
    refuse(order, "the path is not absolute");
  } else if (order->opcode == OP_PUSH_LAYER && workload != NULL) {
    refuse(order, "layers cannot be pushed under a workload");
  } else {
    switch (order->opcode) {
      case OP_WRITE_TAR: job_start(order->channel, JOB_INPUT, write_tar_job, simple, NULL); break;
      case OP_READ_TAR: job_start(order->channel, JOB_OUTPUT, read_tar_job, simple, NULL); break;
      case OP_READ_LAYER: job_start(order->channel, JOB_OUTPUT, read_layer_job, simple, NULL); break;
      case OP_PUSH_LAYER: launcher_drop(), job_start(order->channel, simple->flag ? JOB_INPUT : 0, push_layer_job, simple, NULL); break;
      case OP_STAGE: job_start(order->channel, JOB_INPUT, stage_job, simple, NULL); break;
      case OP_RELEASE: job_start(order->channel, 0, release_job, simple, NULL); break;
      case OP_RELAY: job_start(order->channel, JOB_INPUT | JOB_OUTPUT, relay_job, simple, NULL); break;
      default: job_start(order->channel, 0, sync_job, simple, NULL); break;
    }
  }
}

static void do_simple(const struct order *order) {
  struct arena arena = {0};
  struct simple_order simple = {0};
  struct writer w;
  const char *error = decode_simple(&arena, order->list, &simple);
  w.length = 0, w.full = false;
  if (error != NULL) {
    refuse(order, error);
    arena_free(&arena);
    return;
  }
  switch (order->opcode) {
    case OP_SIGNAL: do_signal(order, &simple); break;
    case OP_RESIZE: do_resize(order, &simple); break;
    case OP_CLOCK: channel_answer(order->channel, set_clock(simple.clock) == 0 ? STATUS_OK : STATUS_REFUSED, NULL); break;
    case OP_STATS: stats_write(&w), channel_answer_fields(order->channel, &w); break;
    case OP_WATCH: watch_ports(simple.flag), channel_answer(order->channel, STATUS_OK, NULL); break;
    case OP_POWER_OFF: power_off(order->channel, (int)(simple.signal & 127), simple.grace); break;
    default: do_transfer(order, &simple);
  }
  arena_free(&arena);
}

void carry_out(struct order *order) {
  switch (order->opcode) {
    case OP_PREPARE:
    case OP_MOUNT_ROOT: do_prepare(order); break;
    case OP_FORGET: do_forget(order); break;
    case OP_START:
    case OP_SPAWN: do_start(order); break;
    case OP_ATTACH: do_attach(order); break;
    case OP_NAMES:
    case OP_FILES: do_tables(order); break;
    case OP_SIGNAL:
    case OP_RESIZE:
    case OP_CLOCK:
    case OP_WRITE_TAR:
    case OP_READ_TAR:
    case OP_READ_LAYER:
    case OP_PUSH_LAYER:
    case OP_STATS:
    case OP_WATCH:
    case OP_POWER_OFF:
    case OP_STAGE:
    case OP_RELEASE:
    case OP_RELAY:
    case OP_SYNC: do_simple(order); break;
    default: refuse(order, "this agent does not know the order");
  }
}
