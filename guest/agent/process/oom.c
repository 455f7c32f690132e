#include "process/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/files.h"
#include "lib/loop.h"

#define EVENTS_FILE "/sys/fs/cgroup/work/memory.events"

static uint64_t kills_told, kills_known;
static struct watch oom = {.fd = -1};
static void (*on_kill)(void);

uint64_t oom_kills(void) {
  char text[1024];
  const char *at = read_small_file(EVENTS_FILE, text, sizeof text) > 0 ? strstr(text, "oom_kill ") : NULL;
  kills_known = at == NULL ? 0 : strtoull(at + strlen("oom_kill "), NULL, 10);
  return kills_known;
}

uint64_t oom_kills_known(void) { return kills_known; }

/* The kernel raises EPOLLPRI on the file when one of its counters changes. */
static void on_oom(struct watch *watch, uint32_t events) {
  (void)watch, (void)events;
  uint64_t kills = oom_kills();
  if (kills > kills_told) {
    on_kill();
  }
  kills_told = kills;
  char text[64];
  if (lseek(oom.fd, 0, SEEK_SET) < 0 || read(oom.fd, text, sizeof text) < 0) {
    errno = 0;
  }
}

void oom_watch(void (*killed)(void)) {
  on_kill = killed;
  oom = (struct watch){open(EVENTS_FILE, O_RDONLY | O_CLOEXEC), on_oom};
  if (oom.fd >= 0) {
    loop_watch(&oom, EPOLLPRI | EPOLLET);
    on_oom(&oom, 0);
  }
}
