#include "sync/reconcile.h"

/* By the host's side, then the guest's. What is gone on one side and changed on the other stays. */
static const enum action table[3][3] = {
    [SAME] = {[SAME] = DO_NOTHING, [CHANGED] = DO_TO_HOST, [GONE] = DO_DELETE_HOST},
    [CHANGED] = {[SAME] = DO_TO_GUEST, [CHANGED] = DO_COMPARE, [GONE] = DO_TO_GUEST},
    [GONE] = {[SAME] = DO_DELETE_GUEST, [CHANGED] = DO_TO_HOST, [GONE] = DO_FORGET},
};

enum action reconcile(enum change host, enum change guest, bool unclean) {
  return unclean && host == SAME && guest == CHANGED ? DO_COMPARE : table[host][guest];
}
