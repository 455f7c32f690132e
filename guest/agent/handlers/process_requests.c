#include "handlers/process_requests.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "handlers/machine_state.h"
#include "process/mirrors.h"
#include "process/process_end.h"
#include "process/stuck_start.h"

enum { MAX_SIGNAL = 64 };

/* Why it cannot be started now, or NULL. */
static const char *out_of_turn(bool is_workload) {
  unsigned state = machine_state();
  if (state == STATE_WAITING) {
    return "the machine is not prepared";
  }
  if (is_workload && mirrors_unready() != NULL) {
    return mirrors_unready();
  }
  if (is_workload) {
    return workload != NULL || state != STATE_PREPARED ? "the workload was started already" : NULL;
  }
  return state == STATE_EXITED ? "the workload has ended" : NULL;
}

static void start(const struct request *request, const struct process_spec *spec) {
  bool is_workload = request->opcode == OP_START;
  const char *error = out_of_turn(is_workload);
  if (error != NULL) {
    request_refuse(request, REASON_OUT_OF_TURN, error);
    return;
  }
  error = proc_start(is_workload ? PROC_WORKLOAD : PROC_EXEC, request->channel, spec);
  if (error != NULL) {
    request_refuse(request, REASON_RESOURCES, error);
    return;
  }
  stuck_start_watch();
  if (is_workload) {
    workload = procs;
    machine_set_state(STATE_RUNNING);
  }
}

void handle_start(const struct request *request) {
  struct arena arena = {0};
  struct process_spec spec = {0};
  const char *error = decode_process(&arena, request->list, &spec);
  if (error != NULL) {
    request_refuse(request, REASON_MALFORMED, error);
  } else {
    start(request, &spec);
  }
  arena_free(&arena);
}

void handle_attach(const struct request *request) {
  if (workload == NULL || !workload->answered) {
    request_refuse(request, REASON_OUT_OF_TURN, "no workload was started");
  } else {
    proc_attach(workload, request->channel);
  }
}

void handle_signal(const struct request *request, const struct simple_request *simple) {
  struct proc *p = proc_by_channel((uint32_t)simple->channel);
  if (p == NULL || p->exited || p->kind == PROC_JOB || simple->signal == 0 || simple->signal > MAX_SIGNAL) {
    request_refuse(request, REASON_PROCESS, "no such process");
    return;
  }
  kill(p->pid, (int)simple->signal);
  request_done(request);
}

void handle_resize(const struct request *request, const struct simple_request *simple) {
  struct proc *p = proc_by_channel((uint32_t)simple->channel);
  struct winsize size = {.ws_row = (unsigned short)simple->rows, .ws_col = (unsigned short)simple->columns};
  if (p == NULL || p->pty < 0) {
    request_refuse(request, REASON_PROCESS, "the process has no terminal");
    return;
  }
  ioctl(p->pty, TIOCSWINSZ, &size);
  request_done(request);
}
