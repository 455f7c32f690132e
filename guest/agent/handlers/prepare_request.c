#include "handlers/prepare_request.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dns/dns.h"
#include "handlers/machine_state.h"
#include "lib/failure.h"
#include "lib/member.h"
#include "link/host_link.h"
#include "process/launcher.h"
#include "process/mirrors.h"
#include "process/process.h"
#include "devices/net.h"
#include "setup/prepare.h"
#include "setup/root.h"

static struct proc *preparing;
static struct machine_config machine;
static struct arena machine_arena;
static uint8_t *machine_bytes;

static int prepare_job(void *argument) { return prepare_machine(argument); }
static int mount_root_job(void *argument) { return prepare_root(argument); }

/* Nobody waits for an answer on channel 0: the host that asked is gone. */
static void finish(uint32_t channel, uint16_t reason, const char *error) {
  preparing = NULL;
  if (channel != 0 && error == NULL) {
    link_answer_done(channel);
  } else if (channel != 0) {
    link_refuse(channel, STATUS_REFUSED, reason, error);
  }
  arena_free(&machine_arena);
  free(machine_bytes);
  machine_bytes = NULL;
}

static void finish_preparing(uint32_t channel, uint16_t reason, const char *error) {
  if (error == NULL && !is_member) {
    dns_set_names(machine.names, machine.name_count);
    dns_configure(&machine.search, &machine.upstreams);
    error = dns_start(), reason = REASON_MACHINE;
  }
  if (error == NULL) {
    error = mirrors_start(machine.mounts, machine.mount_count), reason = REASON_RESOURCES;
  }
  machine_set_state(error == NULL ? STATE_PREPARED : STATE_WAITING);
  if (machine.read_only) {
    launcher_read_only();
  }
  finish(channel, reason, error);
}

static uint32_t asker(const struct proc *p) { return p->orphaned ? 0 : p->channel; }

static void on_prepared(struct proc *p, bool ok) { finish_preparing(asker(p), p->reason, ok ? NULL : p->report); }

static void on_root_mounted(struct proc *p, bool ok) {
  if (ok) {
    launcher_prestart();
  }
  finish(asker(p), p->reason, ok ? NULL : p->report);
}

/* Nothing is left to be done that could wait for a device: the root is mounted, and the NIC a template's. */
static bool is_brief(void) { return root_is_mounted() && machine.mount_count == 0 && machine.nic_count <= 1; }

/* A fork and its end would cost an emulated guest more than what there is to do. */
static void prepare_here(uint32_t channel) {
  struct failure failure;
  mode_t mask = umask(0);
  keep_failure(&failure);
  bool ok = prepare_machine(&machine) == 0;
  keep_failure(NULL);
  umask(mask);
  finish_preparing(channel, failure.reason, ok ? NULL : failure.text);
}

void handle_prepare(struct request *request) {
  if (machine_state() != STATE_WAITING || preparing != NULL) {
    request_refuse(request, REASON_OUT_OF_TURN, "the machine is prepared already");
    return;
  }
  memset(&machine, 0, sizeof machine);
  const char *error = decode_machine(&machine_arena, request->list, &machine);
  if (error != NULL) {
    arena_free(&machine_arena);
    request_refuse(request, REASON_MALFORMED, error);
    return;
  }
  machine_bytes = request->bytes;
  request->bytes = NULL;
  if (request->opcode == OP_MOUNT_ROOT) {
    preparing = job_start(request->channel, 0, mount_root_job, &machine, on_root_mounted);
  } else if (is_brief()) {
    prepare_here(request->channel);
  } else {
    preparing = job_start(request->channel, 0, prepare_job, &machine, on_prepared);
  }
}

/* For a machine that is to be copied: it has rehearsed a start, and waits again. The next PREPARE replaces what it was told,
 * except for its address: it would have two. */
void handle_forget(const struct request *request) {
  if (machine_state() != STATE_PREPARED || preparing != NULL || workload != NULL || !root_is_mounted()) {
    request_refuse(request, REASON_OUT_OF_TURN, "there is nothing that could be forgotten");
  } else if (!forget_network()) {
    request_refuse(request, REASON_MACHINE, "the NIC does not go back to what it was");
  } else {
    machine_set_state(STATE_WAITING);
    request_done(request);
  }
}
