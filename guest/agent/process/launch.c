#include "process/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/files.h"
#include "lib/fork.h"
#include "lib/host_test.h"
#include "process/caps.h"
#include "process/enter_root.h"
#include "process/user.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const struct {
  const char *name;
  int resource;
} limits[] = {{"core", RLIMIT_CORE},       {"cpu", RLIMIT_CPU},         {"data", RLIMIT_DATA},     {"fsize", RLIMIT_FSIZE},
              {"locks", RLIMIT_LOCKS},     {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
              {"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},     {"rss", RLIMIT_RSS},       {"rtprio", RLIMIT_RTPRIO},
              {"rttime", RLIMIT_RTTIME},   {"sigpending", RLIMIT_SIGPENDING}, {"stack", RLIMIT_STACK}, {"as", RLIMIT_AS}};

static void set_limits(const struct launch *l) {
  for (size_t i = 0; i < l->spec->limit_count; i++) {
    const struct limit_spec *limit = &l->spec->limits[i];
    struct rlimit value = {limit->soft, limit->hard};
    size_t k = 0;
    while (k < sizeof limits / sizeof *limits && strcmp(limits[k].name, limit->name) != 0) {
      k++;
    }
    if (k == sizeof limits / sizeof *limits) {
      launch_refuse(l->status, REASON_SETTING, "unknown limit \"%s\"", limit->name);
    }
    if (setrlimit(limits[k].resource, &value) != 0) {
      launch_refuse(l->status, REASON_SETTING, "setting the limit %s: %s", limit->name, strerror(errno));
    }
  }
}

/* Pipes belong to the process's user, so that it may open /dev/stdout and /dev/stderr again. */
static void set_stdio(const struct launch *l, const struct identity *who) {
  for (int i = 0; i < 3; i++) {
    struct stat st;
    bool ours = fstat(l->stdio[i], &st) == 0 && (S_ISFIFO(st.st_mode) || l->spec->tty);
    gid_t gid = l->spec->tty ? st.st_gid : who->gid;
    if (ours && (st.st_uid != who->uid || st.st_gid != gid) && fchown(l->stdio[i], who->uid, gid) != 0) {
      errno = 0;
    }
    if (l->stdio[i] != i) {
      dup2(l->stdio[i], i);
    }
  }
  setsid();
  if (l->spec->tty) {
    ioctl(0, TIOCSCTTY, 0);
  }
}

static void limit_caps(const struct launch *l, uid_t uid) {
  const char *error = caps_apply(l->spec, uid);
  if (error != NULL) {
    launch_refuse(l->status, REASON_SETTING, "%s", error);
  }
}

/* Changing groups needs capabilities that root may be about to lose; any other user loses them with setresuid. */
static void become(const struct launch *l, const struct identity *who) {
  if (who->uid != 0) {
    limit_caps(l, who->uid);
  }
  bool same = host_test && who->uid == geteuid();
  /* The system calls themselves: the library's functions also care for other threads. */
  if (!same && (syscall(SYS_setgroups, who->group_count, who->groups) != 0 || syscall(SYS_setresgid, who->gid, who->gid, who->gid) != 0 ||
      syscall(SYS_setresuid, who->uid, who->uid, who->uid) != 0)) {
    launch_refuse(l->status, REASON_PROCESS, "becoming user %u: %s", who->uid, strerror(errno));
  }
  if (who->uid == 0) {
    limit_caps(l, 0);
  }
}

static const char *find_env(char **env, const char *name) {
  size_t length = strlen(name);
  for (; *env != NULL; env++) {
    if (strncmp(*env, name, length) == 0 && (*env)[length] == '=') {
      return *env + length + 1;
    }
  }
  return NULL;
}

static char **build_env(const struct launch *l, const struct identity *who) {
  const struct strings *given = &l->spec->env;
  char **env = calloc(given->count + 3, sizeof *env);
  static char home[600];
  if (env == NULL) {
    launch_refuse(l->status, REASON_RESOURCES, "the guest is out of memory");
  }
  size_t n = given->count;
  if (n > 0) {
    memcpy(env, given->items, n * sizeof *env);
  }
  if (find_env(env, "HOME") == NULL) {
    snprintf(home, sizeof home, "HOME=%s", who->home[0] == 0 ? "/" : who->home);
    env[n++] = home;
  }
  if (l->spec->tty && find_env(env, "TERM") == NULL) {
    env[n++] = (char *)"TERM=xterm";
  }
  return env;
}

static const char *exec_problem(int error) {
  return error == EACCES ? "permission denied" : error == ENOEXEC ? "exec format error" : strerror(error);
}

static bool is_missing(int error) { return error == ENOENT || error == ENOTDIR; }

/* execvp by the program's own PATH, with the reasons in docker's words. */
static void run_by_path(const struct launch *l, char **env) {
  const char *name = l->spec->args.items[0], *path = find_env(env, "PATH");
  int denied = 0;
  for (const char *at = path == NULL ? DEFAULT_PATH : path; at != NULL && *name != 0;) {
    char full[4096];
    struct stat st;
    int length = (int)strcspn(at, ":");
    if (length > 0 && snprintf(full, sizeof full, "%.*s/%s", length, at, name) < (int)sizeof full) {
      execve(full, l->spec->args.items, env);
      int error = errno;
      denied = denied == 0 && !is_missing(error) && stat(full, &st) == 0 && S_ISREG(st.st_mode) ? error : denied;
    }
    at = at[length] == 0 ? NULL : at + length + 1;
  }
  if (denied == 0) {
    launch_fail(l->status, STATUS_NOT_FOUND, REASON_NOT_FOUND, "exec: \"%s\": executable file not found in $PATH", name);
  }
  launch_fail(l->status, STATUS_NOT_EXECUTABLE, REASON_PROCESS, "exec: \"%s\": %s", name, exec_problem(denied));
}

_Noreturn static void run_program(const struct launch *l, char **env) {
  const char *name = l->spec->args.items[0];
  if (strchr(name, '/') == NULL) {
    run_by_path(l, env);
  }
  execve(name, l->spec->args.items, env);
  if (is_missing(errno)) {
    launch_fail(l->status, STATUS_NOT_FOUND, REASON_NOT_FOUND, "exec: \"%s\": stat %s: no such file or directory", name, name);
  }
  launch_fail(l->status, STATUS_NOT_EXECUTABLE, REASON_PROCESS, "exec: \"%s\": %s", name, exec_problem(errno));
}

static volatile pid_t init_child;

static void forward(int signal) { kill(init_child, signal); }

/* `init: true`: PID 1 that passes signals on, reaps, and ends with its child's code (tini's job). */
static void become_init(const struct launch *l) {
  init_child = fork();
  if (init_child == 0) {
    return;
  }
  if (init_child < 0) {
    launch_refuse(l->status, REASON_RESOURCES, "fork: %s", strerror(errno));
  }
  for (int i = 1; i < 32; i++) {
    if (i != SIGCHLD && i != SIGKILL && i != SIGSTOP) {
      signal(i, forward);
    }
  }
  syscall(SYS_close_range, 0, ~0U, 0);
  for (;;) {
    int status;
    pid_t pid = wait(&status);
    if (pid == init_child) {
      _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    }
  }
}

static void enter_cwd(const struct launch *l) {
  if (chdir(l->spec->cwd) == 0) {
    return;
  }
  if (errno == ENOENT && make_dirs(l->spec->cwd, 0755) == 0 && chdir(l->spec->cwd) == 0) {
    return;
  }
  if (errno != EACCES) {
    launch_refuse(l->status, REASON_PROCESS, "chdir to cwd (\"%s\"): %s", l->spec->cwd, strerror(errno));
  }
}

void launch_common(void) {
  struct rlimit files = {1048576, 1048576};
  umask(022);
  setrlimit(RLIMIT_NOFILE, &files);
  reset_signals();
  set_oom_score("0");
}

/* Programs of the workload, whose namespace this process is in already, may look at it until it has become its program: it has nothing
 * of the agent's then, above all not its port, and is not for them to trace (CVE-2016-9962). execve takes the second back. */
static void hide_agent(const struct launch *l) {
  const int fds[] = {l->stdio[0], l->stdio[1], l->stdio[2], l->status, l->mnt_ns, l->cgroup_ns};
  if (!host_test) {
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  }
  keep_only(fds, sizeof fds / sizeof *fds);
}

_Noreturn void launch_child(const struct launch *l) {
  hide_agent(l);
  launch_common();
  if (l->new_namespaces) {
    enter_new_root(l);
  } else if (l->mnt_ns >= 0) {
    join_workload(l);
  }
  launch_program(l);
}

_Noreturn void launch_program(const struct launch *l) {
  struct identity who;
  const char *error = identity_find(l->spec->user, &l->spec->groups, &who);
  if (error != NULL) {
    launch_fail(l->status, STATUS_NOT_EXECUTABLE, REASON_SETTING, "%s", error);
  }
  enter_cwd(l);
  set_limits(l);
  if (l->spec->init && l->new_namespaces) {
    become_init(l);
  }
  set_stdio(l, &who);
  become(l, &who);
  if (l->spec->cwd[0] == '/' && chdir(l->spec->cwd) != 0) {
    launch_fail(l->status, STATUS_NOT_EXECUTABLE, REASON_PROCESS, "chdir to cwd (\"%s\"): %s", l->spec->cwd, strerror(errno));
  }
  if (l->spec->no_new_privs) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  }
  if (!l->prestarted) {
    syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
  }
  run_program(l, build_env(l, &who));
}
