#include "share/owner.h"

#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <linux/securebits.h>

void owner_prepare(void) { prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP); }

void owner_take(const struct call *call, uint32_t mask) {
  umask((mode_t)mask & 0777);
  setfsgid(call->gid);
  setfsuid(call->uid);
}

void owner_return(void) {
  setfsuid(0);
  setfsgid(0);
  umask(0);
}
