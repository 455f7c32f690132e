#include "sync/mirror.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sync/bring.h"
#include "sync/content.h"
#include "sync/folders.h"
#include "sync/put.h"
#include "sync/reconcile.h"

/* Who writes all the time is copied in between. What changes whenever it is looked at is given up for a while. */
enum { UNSETTLED_MS = 3000, GIVE_UP_MS = 30000 };

struct mirror mirror;
struct node *mirror_root;

static uint32_t look;
static uint64_t full_until_ms;
static bool is_full, looked_at_all;

uint64_t mirror_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void again(struct node *node, unsigned wanted, enum wait wait) { queue_put(node, wanted, wait, mirror_now()); }

static void tell(enum news news, const struct node *node, const char *reason) {
  char path[PATH_MAX];
  if (tree_path(node, path, sizeof path)) {
    mirror.tell(news, path, reason);
  }
}

static void leave(struct node *node, const char *reason) {
  if (!node->told) {
    node->told = true;
    tell(NEWS_LEFT, node, reason);
  }
}

static void give_up(struct node *node, const char *reason) {
  leave(node, reason);
  node->has_seen = false;
  node->unsettled_since_ms = 0;
  again(node, WANT_BOTH, LATER);
}

/* Whether both sides are as they were a moment before. */
static bool is_settled(struct node *node) {
  bool settled = node->has_seen && stamps_equal(&node->seen[HOST], &node->now[HOST]) && stamps_equal(&node->seen[GUEST], &node->now[GUEST]);
  node->seen[HOST] = node->now[HOST];
  node->seen[GUEST] = node->now[GUEST];
  node->has_seen = true;
  if (node->unsettled_since_ms == 0) {
    node->unsettled_since_ms = mirror_now();
  }
  return settled;
}

static void on_full(struct node *node, enum side to) {
  if (!is_full) {
    tell(NEWS_FULL, node, to == HOST ? "host" : "guest");
  }
  is_full = true;
  full_until_ms = mirror_now() + LATER_MS;
  node->has_seen = false;
  again(node, WANT_BOTH, LATER);
}

static void on_brought(struct node *node, enum side to, enum brought result) {
  int error = errno;
  if (result == BROUGHT) {
    node->has_seen = node->told = false;
    node->unsettled_since_ms = 0;
  } else if (result == BROUGHT_FAILED && (error == ENOSPC || error == EDQUOT)) {
    on_full(node, to);
  } else if (result == BROUGHT_FAILED) {
    give_up(node, strerror(error));
  } else {
    folders_forget(NULL);
    node->has_seen = false;
    again(node, WANT_BOTH | WANT_DEEP, SETTLING);
  }
}

/* The guest's file gets a name of its own on both sides. */
static void keep_beside(struct node *node) {
  char name[256];
  int guest = folder_of(node->parent, GUEST), host = folder_of(node->parent, HOST);
  struct stamp there;
  for (int number = 1; guest >= 0 && host >= 0 && number < 1000000; number++) {
    char end[32];
    int length = snprintf(end, sizeof end, ".hypr-conflict-%d", number);
    snprintf(name, sizeof name, "%.*s%s", 255 - length, node->name, end);
    if (!stamp_at(host, name, &there) || there.mode != 0) {
      continue;
    }
    if (move_new(guest, node->name, guest, name)) {
      struct node *kept = tree_child(node->parent, name, true);
      forget_tree(node);
      folders_forget(NULL);
      if (kept != NULL) {
        again(kept, WANT_BOTH | WANT_DEEP, AT_ONCE);
        tell(NEWS_CONFLICT, kept, "");
      }
      break;
    }
    if (errno != EEXIST) {
      break;
    }
  }
  again(node, WANT_BOTH | WANT_DEEP, AT_ONCE);
}

static void compare(struct node *node) {
  const struct stamp *host = &node->now[HOST], *guest = &node->now[GUEST];
  int folder = folder_of(node->parent, HOST), other = folder_of(node->parent, GUEST), equal = 0;
  if (is_folder(host) && is_folder(guest)) {
    equal = 1;
  } else if (!is_folder(host) && !is_folder(guest)) {
    equal = folder < 0 || other < 0 ? -1 : content_equal(folder, node->name, host, other, node->name, guest);
  }
  if (equal < 0) {
    on_brought(node, GUEST, is_absence(errno) || errno == EAGAIN ? BROUGHT_NOT_YET : BROUGHT_FAILED);
  } else if (equal == 0) {
    keep_beside(node);
  } else {
    note_equal(node);
    on_brought(node, GUEST, !S_ISLNK(host->mode) && (host->mode & 07777) != (guest->mode & 07777) ? bring(node, GUEST, false) : BROUGHT);
  }
}

static void bring_to(struct node *node, enum side to) {
  bool was_folder = node->known && is_folder(&node->equal[to]), unsettled = node->unsettled_since_ms != 0 && node->unsettled_since_ms + UNSETTLED_MS < mirror_now();
  if (mirror_now() < full_until_ms && is_file(&node->now[!to])) {
    node->has_seen = false;
    again(node, WANT_BOTH, LATER);
    return;
  }
  enum brought result = bring(node, to, unsettled);
  if (unsettled) {
    node->unsettled_since_ms = 0;
  }
  if (result == BROUGHT_IN_THE_WAY) {
    /* One side made a file of a folder in which the other one has something of its own. */
    keep_beside(node);
    return;
  }
  on_brought(node, to, result);
  if (result == BROUGHT) {
    if (is_full && is_file(&node->now[!to])) {
      is_full = false;
      tell(NEWS_SPACE, node, "");
    }
    if (is_folder(&node->now[!to]) && !was_folder) {
      again(node, WANT_BOTH | WANT_DEEP, AT_ONCE);
    }
  }
}

static void take_from(struct node *node, enum side from) {
  enum brought result = take_away(node, from);
  if (result == BROUGHT) {
    forget_tree(node);
    folders_forget(node);
  }
  if (result == BROUGHT_IN_THE_WAY) {
    /* There is more in the folder than both had: it stays, and so it is made again on the other side. */
    node->known = false;
    result = bring(node, !from, false);
    again(node, WANT_BOTH | WANT_DEEP, AT_ONCE);
  }
  on_brought(node, from, result);
}

static enum change change_of(const struct node *node, enum side side) {
  const struct stamp *now = &node->now[side];
  return now->mode == 0 ? GONE : node->known && stamps_equal(now, &node->equal[side]) ? SAME : CHANGED;
}

static const char *kind_of(const struct stamp *stamp) {
  return S_ISSOCK(stamp->mode) ? "a socket" : S_ISFIFO(stamp->mode) ? "a pipe" : "a device";
}

/* Both sides have been looked at. */
static void decide(struct node *node) {
  for (int side = 0; side < SIDES; side++) {
    if (node->now[side].mode != 0 && !is_plain(&node->now[side])) {
      leave(node, kind_of(&node->now[side]));
      return;
    }
  }
  enum action action = reconcile(change_of(node, HOST), change_of(node, GUEST), mirror.unclean);
  if (action == DO_NOTHING || action == DO_FORGET) {
    node->has_seen = false;
    node->unsettled_since_ms = 0;
    if (action == DO_FORGET) {
      forget_tree(node);
    }
    return;
  }
  bool is_only_folder = (is_folder(&node->now[HOST]) || is_folder(&node->now[GUEST])) && action != DO_DELETE_HOST && action != DO_DELETE_GUEST;
  if (!is_only_folder && !is_settled(node)) {
    uint64_t since = node->unsettled_since_ms, now = mirror_now();
    if (since + GIVE_UP_MS < now) {
      give_up(node, "it changes all the time");
      return;
    }
    if (since + UNSETTLED_MS > now || (action != DO_TO_HOST && action != DO_TO_GUEST)) {
      again(node, WANT_BOTH, SETTLING);
      return;
    }
  }
  switch (action) {
    case DO_TO_GUEST: bring_to(node, GUEST); break;
    case DO_TO_HOST: bring_to(node, HOST); break;
    case DO_DELETE_GUEST: take_from(node, GUEST); break;
    case DO_DELETE_HOST: take_from(node, HOST); break;
    default: compare(node);
  }
}

static bool observe(struct node *node, enum side side) {
  int folder = folder_of(node->parent, side);
  if (folder < 0) {
    node->now[side] = (struct stamp){0};
    return is_absence(errno);
  }
  return stamp_at(folder, node->name, &node->now[side]);
}

/* A path of which nothing is left. */
static void tidy(struct node *node) {
  while (!node->known && node->first == NULL && !node->queued && node->parent != NULL && node->now[HOST].mode == 0 && node->now[GUEST].mode == 0) {
    struct node *folder = node->parent;
    folders_forget(node);
    tree_drop(node);
    node = folder;
  }
}

static bool is_known_folder(const struct node *node) {
  return node->parent == NULL || (node->known && is_folder(&node->equal[HOST]) && is_folder(&node->equal[GUEST]));
}

static void look_at_child(struct node *child, unsigned wanted) {
  unsigned sides = wanted & WANT_BOTH;
  for (int side = 0; side < SIDES; side++) {
    if (sides & 1u << side && child->listed[side] != look) {
      child->now[side] = (struct stamp){0};
    }
  }
  bool differs = ((sides & WANT_HOST) && change_of(child, HOST) != SAME) || ((sides & WANT_GUEST) && change_of(child, GUEST) != SAME);
  bool seen = (sides & WANT_HOST || !differs || observe(child, HOST)) && (sides & WANT_GUEST || !differs || observe(child, GUEST));
  if (differs && seen) {
    decide(child);
  }
  if (is_known_folder(child) && wanted & WANT_DEEP) {
    again(child, wanted, AT_ONCE);
  }
}

static void list(struct node *folder, unsigned wanted) {
  look++;
  for (int side = 0; side < SIDES; side++) {
    if (wanted & 1u << side && !folder_list(folder, side, look)) {
      if (!is_absence(errno)) {
        give_up(folder, strerror(errno));
      } else if (folder->parent != NULL) {
        again(folder, WANT_BOTH, SETTLING);
      }
      return;
    }
  }
  uint32_t this = look;
  for (struct node *child = folder->first, *next; child != NULL; child = next) {
    next = child->next;
    look_at_child(child, wanted);
    tidy(child);
  }
  look = this;
}

static void visit(struct node *node, unsigned wanted) {
  if (node->parent != NULL && !is_known_folder(node->parent)) {
    again(node->parent, WANT_BOTH | WANT_DEEP, AT_ONCE);
    return;
  }
  if (node->parent != NULL) {
    bool guest_first = (wanted & WANT_BOTH) == WANT_GUEST, host_first = (wanted & WANT_BOTH) == WANT_HOST;
    bool seen = (host_first || observe(node, GUEST)) && (guest_first || observe(node, HOST));
    bool is_same = seen && ((guest_first && change_of(node, GUEST) == SAME) || (host_first && change_of(node, HOST) == SAME));
    if (!is_same) {
      seen = seen && (!host_first || observe(node, GUEST)) && (!guest_first || observe(node, HOST));
      if (!seen) {
        give_up(node, strerror(errno));
        return;
      }
      decide(node);
    }
  }
  if (wanted & (WANT_LIST | WANT_DEEP) && is_known_folder(node)) {
    list(node, wanted);
  }
}

void mirror_look(const char *path, unsigned wanted) {
  struct node *node = mirror_root;
  char name[256];
  while (*path != 0) {
    size_t length = strcspn(path, "/");
    if (length == 0 || length >= sizeof name) {
      return;
    }
    memcpy(name, path, length);
    name[length] = 0;
    path += length + (path[length] == '/');
    struct node *child = is_temporary(name) ? NULL : tree_child(node, name, true);
    if (child == NULL) {
      return;
    }
    node = child;
    if (*path != 0 && !is_known_folder(node)) {
      again(node, WANT_BOTH | WANT_DEEP, AT_ONCE);
      return;
    }
  }
  looked_at_all = looked_at_all || (node == mirror_root && (wanted & WANT_DEEP) && (wanted & WANT_BOTH) == WANT_BOTH);
  again(node, wanted, AT_ONCE);
}

void mirror_step(unsigned most_ms) {
  uint64_t end = mirror_now() + most_ms;
  unsigned wanted;
  struct node *node;
  folders_forget(NULL);
  while (mirror_now() <= end && (node = queue_take(mirror_now(), &wanted)) != NULL) {
    visit(node, wanted);
    tidy(node);
  }
  folders_forget(NULL);
  if (is_full && mirror_is_idle() && queue_later() == 0) {
    /* What there was no room for is gone. */
    is_full = false;
    mirror.tell(NEWS_SPACE, "", "");
  }
  if (looked_at_all && mirror_is_idle()) {
    mirror.unclean = false;
  }
}

bool mirror_is_idle(void) { return queue_length() == 0; }

bool mirror_is_full(void) { return is_full; }
