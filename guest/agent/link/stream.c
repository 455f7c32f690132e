#include "link/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "link/host_link.h"

enum { CHUNK = 8192, DROP_STEP = 16384 };

static void on_readable(struct watch *watch, uint32_t events) {
  (void)events;
  stream_read((struct stream *)(void *)watch);
}

static void set_watched(struct stream *s, bool watched) {
  if (s->open && s->watched != watched) {
    s->watched = watched;
    if (watched) {
      loop_watch(&s->watch, EPOLLIN);
    } else {
      loop_unwatch(&s->watch);
    }
  }
}

bool stream_open(struct stream *s, int fd, size_t capacity, bool retain) {
  s->ring = malloc(capacity);
  s->watch = (struct watch){fd, on_readable};
  s->capacity = capacity, s->retain = retain, s->attached = true, s->open = true;
  set_watched(s, true);
  return s->ring != NULL;
}

void stream_end(struct stream *s) {
  set_watched(s, false);
  if (s->open) {
    close(s->watch.fd);
  }
  s->open = false, s->ended = true;
}

void stream_close(struct stream *s) {
  stream_end(s);
  free(s->ring);
  s->ring = NULL;
  s->start = s->sent = s->end;
}

/* Forgets marks that lie wholly before `start`. */
static void trim_marks(struct stream *s) {
  while (s->mark_count > 1 && s->marks[(s->mark_first + 1) % MARKS].offset <= s->start) {
    s->mark_first = (s->mark_first + 1) % MARKS;
    s->mark_count--;
  }
}

/* Bytes from `offset` on arrived at `time`; when there are too many marks the newest grows. */
static void add_mark(struct stream *s, uint64_t offset, uint64_t time) {
  struct mark *last = s->mark_count == 0 ? NULL : &s->marks[(s->mark_first + s->mark_count - 1) % MARKS];
  if (last == NULL || (last->time != time && s->mark_count < MARKS)) {
    s->marks[(s->mark_first + s->mark_count++) % MARKS] = (struct mark){offset, time};
  }
}

static void release(struct stream *s, uint64_t until) {
  s->start = until > s->end ? s->end : until > s->start ? until : s->start;
  s->sent = s->sent < s->start ? s->start : s->sent;
  trim_marks(s);
}

static size_t make_room(struct stream *s) {
  if (s->end - s->start == s->capacity && !s->attached) {
    uint64_t before = s->start;
    release(s, s->start + DROP_STEP);
    s->lost += s->start - before;
  }
  return s->capacity - (size_t)(s->end - s->start);
}

void stream_read(struct stream *s) {
  for (int rounds = 0; s->open && rounds < 16; rounds++) {
    size_t room = make_room(s);
    if (room == 0) {
      set_watched(s, false);
      return;
    }
    size_t at = (size_t)(s->end % s->capacity);
    size_t n = s->capacity - at < room ? s->capacity - at : room;
    ssize_t got = read(s->watch.fd, s->ring + at, n > CHUNK ? CHUNK : n);
    if (got > 0) {
      add_mark(s, s->end, wall_ms());
      s->end += (uint64_t)got;
      if (!s->attached && !s->retain) {
        release(s, s->end);
      }
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else if (got < 0 && errno == EAGAIN) {
      return;
    } else {
      stream_end(s);
    }
  }
}

void stream_attach(struct stream *s, bool attached) {
  s->attached = attached;
  s->limit = 0;
  if (!attached) {
    s->sent = s->start, s->end_sent = false;
    if (!s->retain) {
      release(s, s->end);
    }
    set_watched(s, true);
  }
}

void stream_window(struct stream *s, uint64_t acked, uint64_t limit) {
  s->limit = limit > s->limit ? limit : s->limit;
  if (s->retain) {
    release(s, acked < s->sent ? acked : s->sent);
  }
  set_watched(s, true);
}

static uint64_t mark_end(const struct stream *s, uint64_t *time) {
  uint64_t end = s->end;
  *time = 0;
  for (size_t i = 0; i < s->mark_count; i++) {
    const struct mark *mark = &s->marks[(s->mark_first + i) % MARKS];
    if (mark->offset > s->sent) {
      return mark->offset;
    }
    *time = mark->time;
  }
  return end;
}

static bool send_end(struct stream *s, uint32_t channel, uint8_t number) {
  if (!s->ended || s->end_sent || s->sent < s->end) {
    return false;
  }
  uint8_t payload[16];
  put64(payload, s->end), put64(payload + 8, s->lost);
  link_send(FRAME_OUTPUT_END, number, channel, payload, sizeof payload);
  s->end_sent = true;
  return true;
}

bool stream_send(struct stream *s, uint32_t channel, uint8_t number) {
  if (!s->attached || !link_has_room()) {
    return false;
  }
  uint64_t until = s->end < s->limit ? s->end : s->limit;
  if (s->ring == NULL || s->sent >= until) {
    return send_end(s, channel, number);
  }
  uint64_t time, end = mark_end(s, &time);
  size_t at = (size_t)(s->sent % s->capacity), n = s->capacity - at;
  until = end < until ? end : until;
  n = until - s->sent < n ? (size_t)(until - s->sent) : n;
  n = n > CHUNK ? CHUNK : n;
  uint8_t head[24];
  put64(head, s->sent), put64(head + 8, time), put64(head + 16, s->lost);
  link_send_parts(FRAME_OUTPUT, number, channel, head, sizeof head, s->ring + at, n);
  s->sent += n;
  if (!s->retain) {
    release(s, s->sent);
    set_watched(s, true);
  }
  return true;
}

bool stream_is_sent(const struct stream *s) { return s->ended && (!s->attached || s->end_sent); }
