#include "process/stuck_start.h"

#include <stdio.h>
#include <string.h>

#include "lib/console.h"
#include "lib/files.h"
#include "process/process.h"

/* A start waits half a minute for a disk, and the host a minute and a half for the start. */
enum { STUCK_MS = 45000 };

static struct timer timer;

/* Where in the kernel it waits, one call a line. */
static void tell(const struct proc *p) {
  char path[64], stack[2048], *rest = stack, *line;
  snprintf(path, sizeof path, "/proc/%d/stack", (int)p->pid);
  bool known = read_small_file(path, stack, sizeof stack) > 0;
  console_say("kestrel: the start of process %d does not get on; it waits in%s", (int)p->pid, known ? ":" : " a place that nobody tells");
  while (known && (line = strsep(&rest, "\n")) != NULL) {
    if (line[0] != 0) {
      console_say("kestrel:   %s", line);
    }
  }
}

static void look(struct timer *fired) {
  uint64_t now = now_ms(), next = 0;
  (void)fired;
  for (struct proc *p = procs; p != NULL; p = p->next) {
    if (p->kind == PROC_JOB || p->answered || p->exited || p->told_stuck) {
      continue;
    }
    if (now - p->started >= STUCK_MS) {
      tell(p);
      p->told_stuck = true;
    } else if (next == 0 || p->started < next) {
      next = p->started;
    }
  }
  if (next != 0) {
    timer_start(&timer, next + STUCK_MS - now);
  } else {
    timer.fn = NULL;
  }
}

void stuck_start_watch(void) {
  if (timer.fn == NULL) {
    timer.fn = look;
    timer_start(&timer, STUCK_MS);
  }
}
