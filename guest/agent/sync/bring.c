#include "sync/bring.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sync/content.h"
#include "sync/folders.h"
#include "sync/put.h"

void note_equal(struct node *node) {
  node->equal[HOST] = node->now[HOST];
  node->equal[GUEST] = node->now[GUEST];
  node->known = true;
}

void forget_tree(struct node *node) {
  node->known = node->has_seen = false;
  for (struct node *child = node->first; child != NULL; child = child->next) {
    forget_tree(child);
  }
}

/* The guest's incomplete files are where no program sees them; the host's have to be in the share, and beside what they become they are on
 * the same disk. */
static int aside(const struct node *node, enum side side) { return side == GUEST ? places.staging : folder_of(node->parent, HOST); }

/* What is expected has another time or mode now: it was changed, and both are looked at again. */
static void note_changed(struct node *node, enum side side) {
  node->equal[side].changed_ns = node->equal[side].modified_ns = -1;
}

static enum brought failed(void) { return is_absence(errno) || errno == EAGAIN || errno == ESTALE ? BROUGHT_NOT_YET : BROUGHT_FAILED; }

static enum brought set_mode(struct node *node, enum side to) {
  int folder = folder_of(node->parent, to);
  struct stamp before = node->now[to];
  if (folder < 0 || fchmodat(folder, node->name, node->now[!to].mode & 07777, AT_SYMLINK_NOFOLLOW) != 0 || !stamp_at(folder, node->name, &node->now[to])) {
    return failed();
  }
  note_equal(node);
  if (!content_untouched(&before, &node->now[to])) {
    note_changed(node, to);
    return BROUGHT_NOT_YET;
  }
  return BROUGHT;
}

static enum brought bring_folder(struct node *node, enum side to) {
  int folder = folder_of(node->parent, to);
  struct stat owner;
  if (folder < 0) {
    return failed();
  }
  if (mkdirat(folder, node->name, 0700) != 0) {
    return errno == EEXIST ? BROUGHT_NOT_YET : failed();
  }
  int from = to == GUEST ? folder_of(node->parent, HOST) : -1;
  if (from >= 0 && fstatat(from, node->name, &owner, AT_SYMLINK_NOFOLLOW) == 0 &&
      fchownat(folder, node->name, owner.st_uid, owner.st_gid, AT_SYMLINK_NOFOLLOW) != 0 && errno != EPERM && errno != EINVAL) {
    return BROUGHT_FAILED;
  }
  return set_mode(node, to);
}

static enum brought bring_content(struct node *node, enum side to, bool unsettled) {
  int source = folder_of(node->parent, !to), folder = folder_of(node->parent, to), place = folder < 0 ? -1 : aside(node, to);
  struct stamp made, *from = &node->now[!to];
  char temporary[32];
  temporary_name(temporary);
  if (source < 0 || folder < 0 || !content_copy(source, node->name, from, place, temporary, to == GUEST, unsettled)) {
    return failed();
  }
  if (!stamp_at(place, temporary, &made)) {
    return failed();
  }
  enum put put = put_file(place, temporary, folder, node->name, &node->now[to]);
  if (put != PUT_DONE) {
    return put == PUT_STALE ? BROUGHT_NOT_YET : failed();
  }
  bool ok = stamp_at(folder, node->name, &node->now[to]) && stamps_equal_moved(&made, &node->now[to]);
  note_equal(node);
  if (!ok) {
    node->equal[to] = made;
    note_changed(node, to);
  }
  if (unsettled) {
    note_changed(node, !to);
  }
  return ok && !unsettled ? BROUGHT : BROUGHT_NOT_YET;
}

/* Whether only the time of its change is another: then it may hold what it held. */
static bool may_be_equal(const struct node *node, enum side to) {
  const struct stamp *from = &node->now[!to], *was = &node->equal[!to];
  return node->known && is_plain(&node->now[to]) && !is_folder(from) && content_untouched(from, was) && from->mode == was->mode;
}

static bool holds_the_same(const struct node *node) {
  int host = folder_of(node->parent, HOST), guest = folder_of(node->parent, GUEST);
  return host >= 0 && guest >= 0 && content_equal(host, node->name, &node->now[HOST], guest, node->name, &node->now[GUEST]) == 1;
}

enum brought bring(struct node *node, enum side to, bool unsettled) {
  const struct stamp *from = &node->now[!to], *there = &node->now[to];
  bool same_kind = there->mode != 0 && (there->mode & S_IFMT) == (from->mode & S_IFMT);
  if (is_folder(from) && same_kind) {
    return set_mode(node, to);
  }
  if (node->known && same_kind && is_file(from) && content_untouched(from, &node->equal[!to]) && from->mode != node->equal[!to].mode) {
    return set_mode(node, to);
  }
  if (may_be_equal(node, to) && holds_the_same(node)) {
    note_equal(node);
    return BROUGHT;
  }
  if (is_folder(there) || is_folder(from)) {
    enum brought gone = there->mode == 0 ? BROUGHT : take_away(node, to);
    if (gone != BROUGHT) {
      return gone;
    }
    node->now[to] = (struct stamp){0};
  }
  return is_folder(from) ? bring_folder(node, to) : bring_content(node, to, unsettled);
}

static enum brought take_file_away(struct node *node, enum side from) {
  int folder = folder_of(node->parent, from), place = folder < 0 ? -1 : aside(node, from);
  enum put put = folder < 0 ? PUT_FAILED : put_away(place, folder, node->name, &node->now[from]);
  return put == PUT_DONE ? BROUGHT : put == PUT_STALE ? BROUGHT_NOT_YET : failed();
}

enum brought take_away(struct node *node, enum side from) {
  static uint32_t look = 1u << 31;
  if (!is_folder(&node->now[from])) {
    return take_file_away(node, from);
  }
  uint32_t this = ++look;
  enum brought result = BROUGHT;
  if (!folder_list(node, from, this)) {
    return failed();
  }
  for (struct node *child = node->first; child != NULL; child = child->next) {
    if (child->listed[from] == this) {
      bool is_ours = child->known && stamps_equal(&child->now[from], &child->equal[from]);
      enum brought gone = is_ours ? take_away(child, from) : BROUGHT_IN_THE_WAY;
      result = result == BROUGHT ? gone : result;
      if (gone == BROUGHT) {
        forget_tree(child);
      }
    }
  }
  folders_forget(node);
  int folder = result == BROUGHT ? folder_of(node->parent, from) : -1;
  if (result != BROUGHT || folder < 0) {
    return result != BROUGHT ? result : failed();
  }
  if (unlinkat(folder, node->name, AT_REMOVEDIR) != 0) {
    return errno == ENOTEMPTY || errno == EEXIST ? BROUGHT_IN_THE_WAY : failed();
  }
  return BROUGHT;
}
