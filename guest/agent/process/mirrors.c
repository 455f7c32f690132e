#include "process/mirrors.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/console.h"
#include "lib/fork.h"
#include "lib/loop.h"
#include "link/host_link.h"
#include "process/serve_mirror.h"

enum { MAX_MIRRORS = 32, MAX_WAITING = 32, MOST_RESTARTS = 3 };

static struct mirror_process {
  /* First: the loop gives it back. */
  struct watch watch;
  char tag[64];
  pid_t pid;
  unsigned restarts;
  struct mirror_report last;
  /* `behind`: there was no room for an order. `known`: the host of this session has told of edits. `ended`: for good. */
  bool behind, known, ended;
} mirrors[MAX_MIRRORS];
static size_t mirror_count;

/* Hosts that wait until nothing waits. */
static struct {
  uint32_t channel, number;
} waiting[MAX_WAITING];
static size_t waiting_count;
static uint32_t last_number;
static bool is_ending;

static struct mirror_process *find(const char *tag) {
  for (size_t i = 0; i < mirror_count; i++) {
    if (strcmp(mirrors[i].tag, tag) == 0) {
      return &mirrors[i];
    }
  }
  return NULL;
}

bool mirrors_have(const char *tag) { return find(tag) != NULL; }

static void tell(const struct mirror_process *m, const char *path, const char *reason) {
  struct writer w;
  writer_init(&w);
  write_int(&w, TAG_EVENT_KIND, EVENT_SYNCED);
  write_text(&w, TAG_EVENT_SHARE, m->tag);
  write_int(&w, TAG_EVENT_NEWS, m->last.news);
  write_text(&w, TAG_EVENT_PATH, path);
  write_text(&w, TAG_EVENT_REASON, reason);
  write_int(&w, TAG_EVENT_FILES, m->last.files);
  write_int(&w, TAG_EVENT_WAITING, m->last.waiting);
  write_int(&w, TAG_EVENT_CONFLICTS, m->last.conflicts);
  write_int(&w, TAG_EVENT_LEFT, m->last.left);
  write_int(&w, TAG_EVENT_FULL, m->last.full);
  write_int(&w, TAG_EVENT_FILLED, m->last.filled);
  link_send(FRAME_EVENT, 0, 0, w.bytes, w.length);
}

/* A process that is busy copying reads nothing: what it was not told it finds by looking at all. Whether it was told. */
static bool order(struct mirror_process *m, enum order_kind kind, uint32_t number, struct fields list) {
  static struct mirror_order packet;
  size_t length = list.at == NULL ? 0 : (size_t)(list.end - list.at);
  if (m->watch.fd < 0) {
    return false;
  }
  bool fits = length <= sizeof packet.bytes;
  packet.kind = kind, packet.number = number;
  if (fits && length > 0) {
    memcpy(packet.bytes, list.at, length);
  }
  bool told = fits && send(m->watch.fd, &packet, offsetof(struct mirror_order, bytes) + length, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
  m->behind = m->behind || !told;
  return told;
}

static const struct fields nothing;

/* After news of it, there is room again. */
static void catch_up(struct mirror_process *m) {
  if (m->behind) {
    m->behind = false;
    order(m, ORDER_LOOK, 0, nothing);
    order(m, ORDER_SETTLE, last_number, nothing);
  }
}

const char *mirrors_unready(void) {
  for (size_t i = 0; i < mirror_count; i++) {
    if (mirrors[i].ended) {
      return "a synced folder is not kept equal with the host's any more";
    }
    if (!mirrors[i].last.filled) {
      return mirrors[i].last.full == FULL_GUEST ? "the machine's disk has no room for a synced folder"
             : mirrors[i].last.full == FULL_HOST ? "the host's disk has no room for what a synced folder has"
                                                 : "a synced folder is not filled yet";
    }
  }
  return NULL;
}

static bool is_settled(uint32_t number) {
  bool settled = true;
  for (size_t i = 0; i < mirror_count; i++) {
    settled = settled && (mirrors[i].ended || (int32_t)(mirrors[i].last.settled - number) >= 0);
  }
  return settled;
}

static const char *settled_but(void) {
  const char *unready = mirrors_unready();
  for (size_t i = 0; unready == NULL && i < mirror_count; i++) {
    unready = mirrors[i].last.full == FULL_NOT ? NULL : "a disk is full: what a synced folder holds is not the same on both sides";
  }
  return unready;
}

static void answer_waiting(void) {
  size_t kept = 0;
  for (size_t i = 0; i < waiting_count; i++) {
    const char *error = NULL;
    if (!is_settled(waiting[i].number)) {
      waiting[kept++] = waiting[i];
    } else if ((error = settled_but()) == NULL) {
      link_answer_done(waiting[i].channel);
    } else {
      link_refuse(waiting[i].channel, STATUS_REFUSED, REASON_MOUNT, error);
    }
  }
  waiting_count = kept;
}

void mirrors_settle(uint32_t channel) {
  if (waiting_count == MAX_WAITING) {
    link_refuse(channel, STATUS_REFUSED, REASON_RESOURCES, "too many wait for synced folders");
    return;
  }
  waiting[waiting_count].channel = channel;
  waiting[waiting_count++].number = ++last_number;
  for (size_t i = 0; i < mirror_count; i++) {
    order(&mirrors[i], ORDER_SETTLE, last_number, nothing);
  }
  answer_waiting();
}

void mirrors_edits(const char *tag, struct fields list) {
  struct mirror_process *m = find(tag);
  order(m, m->known ? ORDER_EDITS : ORDER_LOOK, 0, m->known ? list : nothing);
  m->known = true;
}

void mirrors_session(void) {
  waiting_count = 0;
  for (size_t i = 0; i < mirror_count; i++) {
    mirrors[i].known = false;
  }
}

void mirrors_tell(void) {
  for (size_t i = 0; i < mirror_count; i++) {
    struct writer w;
    writer_init(&w);
    write_int(&w, TAG_EVENT_KIND, EVENT_SHARE_WATCHED);
    write_text(&w, TAG_EVENT_SHARE, mirrors[i].tag);
    link_send(FRAME_EVENT, 0, 0, w.bytes, w.length);
    if (!mirrors[i].ended) {
      mirrors[i].last.news = SYNCED_NEWS_STATE;
    }
    tell(&mirrors[i], "", "");
  }
}

static void on_report(struct watch *watch, uint32_t events) {
  struct mirror_process *m = (struct mirror_process *)watch;
  static struct mirror_report got;
  ssize_t length;
  (void)events;
  while ((length = recv(watch->fd, &got, sizeof got, MSG_DONTWAIT)) > (ssize_t)offsetof(struct mirror_report, text)) {
    ((char *)&got)[length - 1] = 0;
    size_t text = (size_t)length - offsetof(struct mirror_report, text), path = strlen(got.text);
    memcpy(&m->last, &got, offsetof(struct mirror_report, text));
    tell(m, got.text, path + 1 < text ? got.text + path + 1 : "");
  }
  catch_up(m);
  answer_waiting();
}

_Noreturn static void become_mirror(const char *tag, int socket) {
  reset_signals();
  /* It holds something of each path: rather its end than that of the machine. */
  set_oom_score("-900");
  keep_only((const int[]){0, 1, 2, socket}, 4);
  serve_mirror(tag, socket);
}

static const char *start(struct mirror_process *m) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return "no descriptors left in the guest";
  }
  m->pid = fork();
  if (m->pid == 0) {
    become_mirror(m->tag, pair[1]);
  }
  close(pair[1]);
  m->watch = (struct watch){pair[0], on_report};
  if (m->pid < 0 || !loop_watch(&m->watch, EPOLLIN)) {
    close(pair[0]);
    m->watch.fd = -1;
    return "the guest is out of memory";
  }
  return NULL;
}

const char *mirrors_start(const struct mount_config *mounts, size_t count) {
  const char *error = NULL;
  for (size_t i = 0; error == NULL && i < count; i++) {
    if (!mounts[i].synced || mirrors_have(mounts[i].source)) {
      continue;
    }
    if (mirror_count == MAX_MIRRORS || strlen(mounts[i].source) >= sizeof mirrors->tag) {
      return "the guest has no room for so many synced folders";
    }
    struct mirror_process *m = &mirrors[mirror_count++];
    memset(m, 0, sizeof *m);
    strcpy(m->tag, mounts[i].source);
    error = start(m);
    mirror_count -= error != NULL;
  }
  return error;
}

void mirrors_end(uint64_t flush_ms) {
  is_ending = true;
  for (size_t i = 0; i < mirror_count; i++) {
    if (!order(&mirrors[i], ORDER_END, (uint32_t)flush_ms, nothing) && mirrors[i].watch.fd >= 0) {
      /* There is no room for the order: that no more come says the same. */
      shutdown(mirrors[i].watch.fd, SHUT_WR);
    }
  }
}

bool mirrors_running(void) {
  bool running = false;
  for (size_t i = 0; i < mirror_count; i++) {
    running = running || mirrors[i].pid > 0;
  }
  return running;
}

void mirrors_kill(void) {
  for (size_t i = 0; i < mirror_count; i++) {
    if (mirrors[i].pid > 0) {
      kill(mirrors[i].pid, SIGKILL);
    }
  }
}

/* Started again it looks at all; only one that dies again and again is given up. */
static void on_gone(struct mirror_process *m) {
  on_report(&m->watch, 0);
  watch_close(&m->watch);
  m->pid = 0;
  bool again = !is_ending && m->last.news != SYNCED_NEWS_ENDED && m->restarts++ < MOST_RESTARTS;
  if (again && start(m) == NULL) {
    console_say("kestrel: what keeps %s equal was started again", m->tag);
    m->known = false;
    order(m, ORDER_SETTLE, last_number, nothing);
    return;
  }
  bool told = m->last.news == SYNCED_NEWS_ENDED;
  m->ended = true;
  m->last.news = SYNCED_NEWS_ENDED;
  if (!told) {
    tell(m, "", "the process that keeps it equal has ended");
  }
  answer_waiting();
}

void mirror_gone(pid_t pid) {
  for (size_t i = 0; i < mirror_count; i++) {
    if (mirrors[i].pid == pid) {
      on_gone(&mirrors[i]);
    }
  }
}
