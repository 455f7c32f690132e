#include "handlers/power.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/files.h"
#include "lib/host_test.h"
#include "lib/loop.h"
#include "lib/member.h"
#include "lib/paths.h"
#include "link/host_link.h"
#include "process/launcher.h"
#include "process/members.h"
#include "process/mirrors.h"
#include "process/process_end.h"

/* The answer means that all disks are at rest: the host ends the machine then. So it is not given earlier, and if that takes
 * too long the host's own deadline is over first. */
enum { KILL_WAIT_MS = 5000, FLUSH_WAIT_MS = 5000, UNMOUNT_WAIT_MS = 60000, SYNC_WAIT_MS = 10000, SYNC_END_MS = 5000, MOST_SYNC_MS = 3600000 };
enum phase { ON, STOPPING, KILLING, FLUSHING, SYNCING, UNMOUNTING, OFF };

static enum phase phase = ON;
static uint32_t answer_to;
static uint64_t sync_ms;
static struct timer timer;
static struct proc *unmounting;
static bool unmounted, at_rest;

static bool running(void) { return workload != NULL && !workload->exited; }

static void set_phase(enum phase next, uint64_t limit_ms) {
  phase = next;
  timer_start(&timer, limit_ms);
}

/* What the workload's PID 1 neither handles nor blocks never reaches it: the kernel shields an init from
 * default actions. Waiting out the grace period would change nothing but the time. */
static bool signal_is_lost(pid_t pid, int number) {
  char path[64], text[8192];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  uint64_t mask = 0;
  if (host_test || read_small_file(path, text, sizeof text) <= 0) {
    return false;
  }
  for (const char *key = "SigBlk:\0SigCgt:\0"; *key != 0; key += strlen(key) + 1) {
    const char *line = strstr(text, key);
    mask |= line == NULL ? UINT64_MAX : strtoull(line + strlen(key), NULL, 16);
  }
  return (mask >> (number - 1) & 1) == 0;
}

static void kill_all(void) {
  launcher_drop();
  members_end_all();
  if (running()) {
    kill(workload->pid, SIGKILL);
  }
  for (struct proc *p = procs; p != NULL; p = p->next) {
    if (!p->exited && p->kind == PROC_EXEC) {
      kill(p->pid, SIGKILL);
    }
  }
}

/* What has files of a volume open would keep it mounted, and go on writing to it: a transfer, or another machine that it is
 * lent to. Whether there are any that have not ended. */
static bool end_transfers(void) {
  bool any = false;
  for (struct proc *p = procs; p != NULL; p = p->next) {
    if (!p->exited && p->kind == PROC_JOB && p->finished == NULL) {
      kill(p->pid, SIGKILL);
      any = true;
    }
  }
  return any;
}

static int unmount_job(void *argument) {
  (void)argument;
  sync();
  if (host_test) {
    return 0;
  }
  /* Several passes: each frees mounts that the next one can unmount. */
  for (int pass = 0; pass < 4; pass++) {
    FILE *mounts = fopen("/proc/self/mounts", "re");
    char line[4096], *targets[256];
    int count = 0;
    while (mounts != NULL && count < 256 && fgets(line, sizeof line, mounts) != NULL) {
      char *target = strchr(line, ' ');
      if (target != NULL && (strncmp(target + 1, SYSROOT, strlen(SYSROOT)) == 0 || strncmp(target + 1, PRIVATE, strlen(PRIVATE)) == 0)) {
        target[1 + strcspn(target + 1, " ")] = 0;
        targets[count++] = strdup(target + 1);
      }
    }
    if (mounts != NULL) {
      fclose(mounts);
    }
    while (count > 0) {
      const char *target = targets[--count];
      if (umount2(target, 0) != 0 && pass == 3) {
        mount(NULL, target, NULL, MS_REMOUNT | MS_RDONLY, NULL);
      }
    }
  }
  sync();
  return 0;
}

static void on_unmounted(struct proc *p, bool ok) {
  (void)p;
  unmounted = true;
  at_rest = ok;
}

static void answer(void) {
  struct writer w;
  writer_init(&w);
  if (workload != NULL && workload->exited) {
    write_exit(&w, &workload->exit);
  }
  link_answer_fields(answer_to, &w);
}

static void on_timer(struct timer *t) { (void)t; }

void power_off(uint32_t channel, int stop_signal, uint64_t grace_ms, uint64_t flush_ms) {
  answer_to = channel;
  timer.fn = on_timer;
  if (phase != ON && phase != STOPPING) {
    return;
  }
  sync_ms = flush_ms == 0 ? SYNC_WAIT_MS : flush_ms < MOST_SYNC_MS ? flush_ms : MOST_SYNC_MS;
  set_phase(STOPPING, grace_ms);
  if (!running()) {
    return;
  }
  if (stop_signal == 0 || stop_signal > 64 || grace_ms == 0 || signal_is_lost(workload->pid, stop_signal)) {
    timer_start(&timer, 0);
  } else {
    kill(workload->pid, stop_signal);
  }
}

static bool expired(void) { return now_ms() >= timer.at; }

void power_step(void) {
  if (phase == STOPPING && (!running() || expired())) {
    set_phase(KILLING, KILL_WAIT_MS);
    kill_all();
  }
  if (phase == KILLING && (!running() || expired())) {
    set_phase(FLUSHING, FLUSH_WAIT_MS);
  }
  /* Without a host nobody will ever take the output. */
  if (phase == FLUSHING && (procs_drained() || !link_connected() || expired()) && (!end_transfers() || expired())) {
    set_phase(SYNCING, sync_ms + SYNC_END_MS);
    mirrors_end(sync_ms);
  }
  if (phase == SYNCING && mirrors_running() && expired()) {
    mirrors_kill();
  }
  if (phase == SYNCING && (!mirrors_running() || now_ms() >= timer.at + SYNC_END_MS)) {
    set_phase(UNMOUNTING, UNMOUNT_WAIT_MS);
    if (workload != NULL) {
      /* Its mount namespace holds every mount: the disks would stay in use whatever is unmounted here. */
      proc_close_views(workload);
    }
    unmounting = job_start(0, 0, unmount_job, NULL, on_unmounted);
    unmounted = unmounting == NULL;
  }
  if (phase == UNMOUNTING && (unmounted || expired())) {
    if (!at_rest) {
      /* The job died, or there was no memory for it. */
      sync();
    }
    answer();
    set_phase(OFF, 1000);
    link_flush();
  }
  if (phase == OFF && (link_is_empty() || !link_connected() || expired())) {
    sync();
    if (host_test || is_member) {
      exit(0);
    }
    reboot(RB_POWER_OFF);
    timer_start(&timer, 60000);
  }
}
