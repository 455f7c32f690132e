#include "handlers/handle_request.h"

#include <string.h>

#include "dns/dns.h"
#include "dns/dns_table.h"
#include "ports/listen_ports.h"
#include "handlers/machine_state.h"
#include "handlers/power.h"
#include "handlers/prepare_request.h"
#include "handlers/process_requests.h"
#include "handlers/transfer_requests.h"
#include "handlers/usage.h"
#include "lib/member.h"
#include "link/host_link.h"
#include "process/members.h"
#include "process/mirrors.h"
#include "process/process.h"
#include "devices/net.h"
#include "setup/prepare.h"
#include "setup/root_files.h"
#include "watchers/share_watchers.h"
#include "watchers/tell_edits.h"

static int files_job(void *argument) {
  const struct machine_config *config = argument;
  return write_files(config->files, config->file_count, proc_with_own_mounts(), REASON_FILE);
}

static int nics_job(void *argument) {
  const struct machine_config *config = argument;
  return add_networks(config->nics, config->nic_count);
}

/* NAMES, NICS and FILES are parts of a machine's configuration that may change while it runs. */
static void handle_config(const struct request *request) {
  struct arena arena = {0};
  struct machine_config config = {0};
  const char *error = decode_machine(&arena, request->list, &config);
  if (error != NULL) {
    request_refuse(request, REASON_MALFORMED, error);
  } else if (request->opcode == OP_NAMES) {
    dns_set_names(config.names, config.name_count);
    request_done(request);
  } else if (machine_state() == STATE_WAITING) {
    request_refuse(request, REASON_OUT_OF_TURN, "the machine is not prepared");
  } else if (request->opcode == OP_NICS) {
    dns_configure(&config.search, &config.upstreams);
    job_start(request->channel, 0, nics_job, &config, NULL);
  } else {
    job_start(request->channel, 0, files_job, &config, NULL);
  }
  arena_free(&arena);
}

static void handle_edits(const struct request *request) {
  struct arena arena = {0};
  struct edits edits = {0};
  const char *error = decode_edits(&arena, request->list, &edits);
  if (error == NULL && mirrors_have(edits.share)) {
    mirrors_edits(edits.share, request->list);
    request_done(request);
  } else if (error == NULL) {
    job_start(request->channel, 0, tell_edits, &edits, NULL);
  } else {
    request_refuse(request, REASON_MALFORMED, error);
  }
  arena_free(&arena);
}

static void handle_watch(const struct request *request, const struct simple_request *simple) {
  watch_ports(simple->flag), watch_shares(simple->flag);
  request_done(request);
  if (simple->flag) {
    mirrors_tell();
  }
}

static void handle_clock(const struct request *request, const struct simple_request *simple) {
  if (set_clock(simple->clock) == 0) {
    request_done(request);
  } else {
    request_refuse(request, REASON_MACHINE, "the clock cannot be set");
  }
}

static void handle_stats(const struct request *request) {
  struct writer w;
  writer_init(&w);
  write_usage(&w);
  link_answer_fields(request->channel, &w);
}

static void handle_member(const struct request *request, const struct simple_request *simple) {
  if (simple->path == NULL || !member_name_ok(simple->path, strlen(simple->path))) {
    request_refuse(request, REASON_MALFORMED, "a further service has no such name");
    return;
  }
  if (request->opcode == OP_END_MEMBER) {
    member_end(simple->path);
    request_done(request);
    return;
  }
  bool early = is_member || machine_state() == STATE_WAITING;
  const char *error = early ? "the machine is not prepared" : member_start(simple->path, simple->flag);
  if (error == NULL) {
    request_done(request);
  } else {
    request_refuse(request, early ? REASON_OUT_OF_TURN : REASON_RESOURCES, error);
  }
}

static void handle_simple(const struct request *request) {
  struct arena arena = {0};
  struct simple_request simple = {0};
  const char *error = decode_simple(&arena, request->list, &simple);
  if (error != NULL) {
    request_refuse(request, REASON_MALFORMED, error);
    arena_free(&arena);
    return;
  }
  switch (request->opcode) {
    case OP_SIGNAL: handle_signal(request, &simple); break;
    case OP_RESIZE: handle_resize(request, &simple); break;
    case OP_CLOCK: handle_clock(request, &simple); break;
    case OP_STATS: handle_stats(request); break;
    case OP_WATCH: handle_watch(request, &simple); break;
    case OP_SETTLE: mirrors_settle(request->channel); break;
    case OP_MEMBER:
    case OP_END_MEMBER: handle_member(request, &simple); break;
    case OP_POWER_OFF: power_off(request->channel, (int)(simple.signal & 127), simple.grace, simple.flush); break;
    default: handle_transfer(request, &simple);
  }
  arena_free(&arena);
}

void handle_request(struct request *request) {
  switch (request->opcode) {
    case OP_PREPARE:
    case OP_MOUNT_ROOT: handle_prepare(request); break;
    case OP_FORGET: handle_forget(request); break;
    case OP_START:
    case OP_SPAWN: handle_start(request); break;
    case OP_ATTACH: handle_attach(request); break;
    case OP_NAMES:
    case OP_NICS:
    case OP_FILES: handle_config(request); break;
    case OP_EDITS: handle_edits(request); break;
    default: handle_simple(request);
  }
}
