#include "handlers/machine_state.h"

#include <sys/utsname.h>

#include "link/host_link.h"
#include "process/process_end.h"

#define AGENT_VERSION "kestrel 1"

static unsigned state = STATE_WAITING;
static uint64_t booted_ms;

unsigned machine_state(void) { return state; }
void machine_set_state(unsigned next) { state = next; }
void machine_booted(uint64_t boot_ms) { booted_ms = boot_ms; }

void machine_write_info(struct writer *w) {
  struct utsname kernel;
  uname(&kernel);
  write_text(w, TAG_INFO_AGENT, AGENT_VERSION);
  write_text(w, TAG_INFO_KERNEL, kernel.release);
  write_int(w, TAG_INFO_STATE, state);
  write_int(w, TAG_INFO_BOOT_MS, booted_ms);
  if (workload != NULL) {
    write_int(w, TAG_INFO_PID, (uint64_t)workload->pid);
    if (workload->exited) {
      write_exit(w, &workload->exit);
    }
  }
}

void machine_workload_failed(void) { state = STATE_PREPARED; }

void machine_workload_exited(void) {
  struct writer w;
  state = STATE_EXITED;
  writer_init(&w);
  write_int(&w, TAG_EVENT_KIND, EVENT_WORKLOAD_EXITED);
  write_exit(&w, &workload->exit);
  link_send(FRAME_EVENT, 0, 0, w.bytes, w.length);
}

void machine_out_of_memory(void) {
  struct writer w;
  writer_init(&w);
  write_int(&w, TAG_EVENT_KIND, EVENT_OOM);
  write_int(&w, TAG_EVENT_PID, workload == NULL ? 0 : (uint64_t)workload->pid);
  link_send(FRAME_EVENT, 0, 0, w.bytes, w.length);
}
