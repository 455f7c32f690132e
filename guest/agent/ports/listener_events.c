#include "ports/listener_events.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/console.h"
#include "lib/files.h"
#include "lib/loop.h"
#include "lib/paths.h"

#define TRACING PRIVATE "/tracing"
#define TRACEPOINT TRACING "/events/sock/inet_sock_set_state"

/* A connection that is accepted is a copy of its listener and leaves that state for SYN_RECV (3); only TCP_LISTEN (10) and from there
 * TCP_CLOSE (7) are of the listener itself. */
static const char filter[] = "newstate == 10 || (oldstate == 10 && newstate == 7)";

static struct watch events = {.fd = -1};
static void (*on_change)(void);

static int set(const char *path, const char *value) {
  return write_file(path, value, strlen(value), 0);
}

/* What is read says nothing that /proc/net does not say better. */
static void drain(struct watch *watch, uint32_t ready) {
  char text[4096];
  (void)ready;
  while (read(watch->fd, text, sizeof text) > 0) {
  }
  if (on_change != NULL) {
    on_change();
  }
}

void listener_events_open(void) {
  mkdir(TRACING, 0700);
  /* A page for each processor, and a reader that is woken by the first event (otherwise by half a buffer). */
  if (mount("tracefs", TRACING, "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0 && set(TRACING "/buffer_size_kb", "4") == 0 &&
      set(TRACING "/buffer_percent", "0") == 0 && set(TRACEPOINT "/filter", filter) == 0 && set(TRACEPOINT "/enable", "1") == 0) {
    events = (struct watch){open(TRACING "/trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC), drain};
  }
  if (events.fd >= 0 && !loop_watch(&events, EPOLLIN)) {
    watch_close(&events);
  }
  if (events.fd < 0) {
    console_say("kestrel: the kernel does not tell of listeners (%s): they are looked for", strerror(errno));
  }
}

bool listener_events_watch(void (*fn)(void)) {
  on_change = fn;
  return events.fd >= 0;
}
