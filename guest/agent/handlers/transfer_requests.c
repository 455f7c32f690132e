#include "handlers/transfer_requests.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/tar_read.h"
#include "fs/tar_write.h"
#include "handlers/machine_state.h"
#include "handlers/relay.h"
#include "lib/failure.h"
#include "lib/paths.h"
#include "process/launcher.h"
#include "process/process.h"
#include "setup/push_layer.h"
#include "share/borrow.h"
#include "share/serve.h"
#include "step/step_release.h"

static int write_tar(void *argument) { return tar_extract(0, ((const struct simple_request *)argument)->path); }
static int read_tar(void *argument) {
  const struct simple_request *simple = argument;
  return tar_create(1, simple->path, simple->flag);
}
static int read_layer(void *argument) { return (void)argument, layer_create(1); }
static int push(void *argument) { return push_layer(((const struct simple_request *)argument)->flag); }
static int drop(void *argument) { return drop_layers((int)((const struct simple_request *)argument)->count); }
static int stage(void *argument) { return step_stage(((const struct simple_request *)argument)->path); }
static int release(void *argument) { return step_release(((const struct simple_request *)argument)->path); }
static int listen_for_host(void *argument) { return relay(argument, proc_with_own_mounts()); }
static int dial_for_host(void *argument) { return (void)argument, dial(); }
/* A volume's disk by its serial, as it was mounted for this machine; with the flag to be read only. */
static int lend_volume(void *argument) {
  const struct simple_request *simple = argument;
  const char *serial = simple->path;
  char folder[512];
  if (serial == NULL || serial[0] == 0 || serial[0] == '.' || strchr(serial, '/') != NULL) {
    return fail(REASON_MALFORMED, "there is no such volume");
  }
  snprintf(folder, sizeof folder, PRIVATE "/disk/%.200s/_data", serial);
  return serve_folder(0, 1, folder, simple->flag);
}
static int borrow(void *argument) {
  const char *tag = ((const struct simple_request *)argument)->path;
  return borrow_volume(0, 1, tag == NULL ? "" : tag);
}
static int sync_disks(void *argument) { return (void)argument, sync(), 0; }

/* Why it cannot be done now, or NULL. */
static const char *out_of_turn(uint16_t opcode) {
  /* What is borrowed is there before the mounts that it is for. */
  if (machine_state() == STATE_WAITING && opcode != OP_SYNC && opcode != OP_BORROW) {
    return "the machine is not prepared";
  }
  bool changes_root = opcode == OP_PUSH_LAYER || opcode == OP_DROP_LAYERS;
  return changes_root && workload != NULL ? "layers cannot be changed under a workload" : NULL;
}

void handle_transfer(const struct request *request, struct simple_request *simple) {
  uint32_t channel = request->channel;
  bool needs_path = request->opcode == OP_WRITE_TAR || request->opcode == OP_READ_TAR;
  const char *error = out_of_turn(request->opcode);
  if (error != NULL) {
    request_refuse(request, REASON_OUT_OF_TURN, error);
    return;
  }
  if (needs_path && (simple->path == NULL || simple->path[0] != '/')) {
    request_refuse(request, REASON_MALFORMED, "the path is not absolute");
    return;
  }
  switch (request->opcode) {
    case OP_WRITE_TAR: job_start(channel, JOB_INPUT, write_tar, simple, NULL); break;
    case OP_READ_TAR: job_start(channel, JOB_OUTPUT, read_tar, simple, NULL); break;
    case OP_READ_LAYER: job_start(channel, JOB_OUTPUT, read_layer, simple, NULL); break;
    case OP_PUSH_LAYER:
    case OP_DROP_LAYERS:
      /* The process that waits holds mounts of the old root. */
      launcher_drop();
      job_start(channel, simple->flag ? JOB_INPUT : 0, request->opcode == OP_PUSH_LAYER ? push : drop, simple, NULL);
      break;
    case OP_STAGE: job_start(channel, JOB_INPUT, stage, simple, NULL); break;
    case OP_RELEASE: job_start(channel, 0, release, simple, NULL); break;
    case OP_RELAY: job_start(channel, JOB_INPUT | JOB_OUTPUT, listen_for_host, simple, NULL); break;
    case OP_DIAL: job_start(channel, JOB_INPUT | JOB_OUTPUT, dial_for_host, simple, NULL); break;
    case OP_LEND: job_start(channel, JOB_INPUT | JOB_OUTPUT, lend_volume, simple, NULL); break;
    case OP_BORROW: job_start(channel, JOB_INPUT | JOB_OUTPUT, borrow, simple, NULL); break;
    case OP_SYNC: job_start(channel, 0, sync_disks, simple, NULL); break;
    default: request_refuse(request, REASON_MALFORMED, "this agent does not know the request");
  }
}
