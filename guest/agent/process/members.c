#include "process/members.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/files.h"
#include "lib/fork.h"

enum { MAX_MEMBERS = 32, BACKLOG = 4 };

static struct member {
  char name[MEMBER_NAME_MAX + 1];
  pid_t pid;
} members[MAX_MEMBERS];

bool member_name_ok(const char *name, size_t length) {
  bool ok = length > 2 && length <= MEMBER_NAME_MAX;
  for (size_t i = 0; ok && i < length; i++) {
    ok = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9');
  }
  return ok;
}

static struct member *find(const char *name) {
  for (size_t i = 0; i < MAX_MEMBERS; i++) {
    if (members[i].pid > 0 && strcmp(members[i].name, name) == 0) {
      return &members[i];
    }
  }
  return NULL;
}

static struct member *free_place(void) {
  for (size_t i = 0; i < MAX_MEMBERS; i++) {
    if (members[i].pid <= 0) {
      return &members[i];
    }
  }
  return NULL;
}

static void in_group(char *out, size_t size, const char *name, const char *file) {
  snprintf(out, size, "/sys/fs/cgroup/member-%s/%s", name, file);
}

/* Its programs are counted and ended by it. It looks like the machine's own group to the agent (core/boot_member.c). */
static void make_group(const char *name) {
  static const char *const controllers[] = {"+memory", "+pids", "+cpu", "+io"};
  char path[128];
  in_group(path, sizeof path, name, "");
  mkdir(path, 0755);
  in_group(path, sizeof path, name, "cgroup.subtree_control");
  for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++) {
    write_file(path, controllers[i], strlen(controllers[i]), 0);
  }
  in_group(path, sizeof path, name, "work");
  mkdir(path, 0755);
}

static int listen_at(const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, MEMBERS "/%s", name);
  int fd = make_dirs(MEMBERS, 0700) == 0 ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
  unlink(address.sun_path);
  if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0)) {
    close(fd);
    fd = -1;
  }
  return fd;
}

_Noreturn static void become_agent(const char *name, bool shares_ipc, int listener) {
  reset_signals();
  if (unshare(CLONE_NEWNS | (shares_ipc ? 0 : CLONE_NEWIPC)) != 0 || dup2(listener, MEMBER_FD) < 0) {
    _exit(1);
  }
  syscall(SYS_close_range, MEMBER_FD + 1, ~0U, 0);
  execl("/proc/self/exe", "kestrel", "member", name, shares_ipc ? "ipc" : "", (char *)NULL);
  _exit(1);
}

const char *member_start(const char *name, bool shares_ipc) {
  struct member *it = find(name);
  if (it != NULL) {
    return NULL;
  }
  it = free_place();
  int listener = it == NULL ? -1 : listen_at(name);
  if (listener < 0) {
    return "the machine has no room for a further service";
  }
  make_group(name);
  snprintf(it->name, sizeof it->name, "%s", name);
  it->pid = fork();
  if (it->pid == 0) {
    become_agent(name, shares_ipc, listener);
  }
  close(listener);
  return it->pid < 0 ? strerror(errno) : NULL;
}

int member_connect(const uint8_t *name, size_t length) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (!member_name_ok((const char *)name, length)) {
    return -1;
  }
  snprintf(address.sun_path, sizeof address.sun_path, MEMBERS "/%.*s", (int)length, (const char *)name);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    fd = -1;
  }
  return fd;
}

/* Its programs first, which its death alone would leave behind; what is killed later is gone with the machine. */
static void end_programs(const char *name) {
  char path[128];
  in_group(path, sizeof path, name, "cgroup.kill");
  write_file(path, "1", 1, 0);
}

static void forget_socket(const char *name) {
  char path[128];
  snprintf(path, sizeof path, MEMBERS "/%s", name);
  unlink(path);
}

/* It has no name from now on: the next one of that name is started beside what is left of this one. */
static void end_member(struct member *it) {
  kill(it->pid, SIGKILL);
  end_programs(it->name);
  forget_socket(it->name);
  it->name[0] = 0;
}

void member_end(const char *name) {
  struct member *it = find(name);
  if (it != NULL) {
    end_member(it);
  }
}

void members_end_all(void) {
  for (size_t i = 0; i < MAX_MEMBERS; i++) {
    if (members[i].pid > 0 && members[i].name[0] != 0) {
      end_member(&members[i]);
    }
  }
}

void member_gone(pid_t pid) {
  for (size_t i = 0; i < MAX_MEMBERS; i++) {
    if (members[i].pid == pid) {
      members[i].pid = 0;
      if (members[i].name[0] != 0) {
        end_programs(members[i].name);
        forget_socket(members[i].name);
      }
    }
  }
}
