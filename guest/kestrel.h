/* What the parts of the guest agent know of each other. One thread, one epoll loop. */
#ifndef KESTREL_H
#define KESTREL_H

#include <stdint.h>
#include <sys/types.h>

#include "orders.h"
#include "wire.h"

#define AGENT_VERSION "kestrel 1"
/* Where the service's root file system is assembled; its processes are moved into it. */
#define SYSROOT "/sysroot"
#define PRIVATE "/kestrel"

/* loop.c: descriptors and timers */
struct watch {
  int fd;
  void (*fn)(struct watch *watch, uint32_t events);
};
struct timer {
  uint64_t at;
  void (*fn)(struct timer *timer);
  struct timer *next;
};
void loop_init(void);
bool loop_watch(struct watch *watch, uint32_t events);
void loop_change(struct watch *watch, uint32_t events);
void loop_unwatch(struct watch *watch);
/* Unwatches and closes; the descriptor is -1 afterwards. */
void watch_close(struct watch *watch);
/* (Re)starts a timer; it fires once. */
void timer_start(struct timer *timer, uint64_t after_ms);
void timer_stop(struct timer *timer);
/* Handles one round of events; `idle` work is up to the caller. */
void loop_step(void);
uint64_t now_ms(void);
uint64_t wall_ms(void);

/* channel.c: the connection to the host */
struct channel_handlers {
  void (*frame)(const struct frame *frame);
  /* A new host has said HELLO, or the old one is gone (`connected` false). */
  void (*session)(bool connected);
};
void channel_init(const struct channel_handlers *handlers);
void channel_use(int fd, bool is_stream);
bool channel_connected(void);
/* True while there is room for bulk data; answers are always taken. */
bool channel_has_room(void);
void channel_send(uint8_t type, uint8_t flags, uint32_t channel, const void *payload, size_t length);
void channel_send_parts(uint8_t type, uint8_t flags, uint32_t channel, const void *head, size_t head_length, const void *body, size_t length);
void channel_answer(uint32_t channel, uint16_t status, const char *text);
void channel_answer_fields(uint32_t channel, const struct writer *fields);
void channel_flush(void);
bool channel_empty(void);
void channel_fault(const char *text);

/* stream.c: output of a process on its way to the host, kept until it is sent or acknowledged */
struct mark {
  uint64_t offset, time;
};
enum { MARKS = 512 };
struct stream {
  struct watch watch;
  uint8_t *ring;
  size_t capacity;
  /* Offsets count bytes since the process began: oldest kept ≤ next to send ≤ newest; `limit` is the host's. */
  uint64_t start, sent, end, limit, lost;
  struct mark marks[MARKS];
  size_t mark_first, mark_count;
  bool open, watched, ended, end_sent, retain, attached;
};
bool stream_open(struct stream *s, int fd, size_t capacity, bool retain);
void stream_close(struct stream *s);
void stream_attach(struct stream *s, bool attached);
void stream_window(struct stream *s, uint64_t acked, uint64_t limit);
void stream_read(struct stream *s);
/* Sends one frame if it may; true if it did. */
bool stream_send(struct stream *s, uint32_t channel, uint8_t number);

/* process.c */
enum proc_kind { PROC_WORKLOAD, PROC_EXEC, PROC_JOB };
enum { STATUS_OK = 0, STATUS_REFUSED = 1, STATUS_NOT_EXECUTABLE = 126, STATUS_NOT_FOUND = 127 };
enum { INPUT_BUFFER = 65536 };
struct exit_report {
  int code, signal;
  bool oom;
};
struct proc {
  struct proc *next;
  enum proc_kind kind;
  uint32_t channel;
  pid_t pid;
  /* `ahead`: see struct launch. */
  bool exited, answered, orphaned, discard_input, input_ended, ahead;
  struct exit_report exit;
  int pty, pid_ns, mnt_ns, cgroup_ns;
  struct watch input, status;
  uint8_t *input_buffer;
  uint64_t input_received, input_written, input_limit;
  struct stream out[2];
  char report[4096];
  size_t report_length;
  void (*finished)(struct proc *proc, bool ok);
  uint64_t drain_until, oom_kills_before;
};
extern struct proc *procs;
extern struct proc *workload;
struct proc *proc_by_channel(uint32_t channel);
const char *proc_start(enum proc_kind kind, uint32_t channel, const struct process_spec *spec);
typedef int job_fn(void *argument);
enum { JOB_INPUT = 1, JOB_OUTPUT = 2 };
/* Runs `fn` in a fork, with stdin/stdout on the channel; what it prints on stderr is the error's text. */
struct proc *job_start(uint32_t channel, int streams, job_fn *fn, void *argument, void (*finished)(struct proc *, bool));
/* Reads what a program that does not start, or a job, says. The watch is the `status` of a process. */
void proc_status(struct watch *watch, uint32_t events);
void proc_close_views(struct proc *p);
void proc_free(struct proc *proc);
/* input.c */
bool input_open(struct proc *proc, int fd);
void input_window(const struct proc *proc, uint64_t limit);
/* Nobody reads any more: the host may send what it likes, it goes nowhere. */
void input_refuse(struct proc *proc);
void proc_input(struct proc *proc, const uint8_t *data, size_t length);
void proc_input_end(struct proc *proc);
/* process_end.c */
void procs_reap(void);
void procs_pump(void);
void procs_session(bool connected);
void proc_drop(struct proc *proc);
bool procs_drained(void);
void write_exit(struct writer *w, const struct exit_report *exit);
/* Set by the main part: told when the workload ends. */
extern void (*on_workload_exit)(void);
/* Sends what a new host must hear of the running workload. */
void proc_attached(struct proc *proc);

/* carry_out.c */
struct order {
  uint32_t channel;
  uint16_t opcode;
  struct fields list;
  /* The whole order's bytes; a handler that keeps them sets it to NULL. NULL also where they go when it is carried out. */
  uint8_t *bytes;
};
void carry_out(struct order *order);
/* The workload did not start: it may be tried again. */
void workload_failed(void);
void workload_exited(void);

/* fork.c */
int open_ns(pid_t pid, const char *name);
/* A fork, in new namespaces or inside a process's; kestrel itself stays where it is. */
pid_t fork_into(bool new_namespaces, int pid_ns);
void reset_signals(void);
void set_oom_score(const char *score);

/* launch.c: the child's side of starting a program; never returns */
struct launch {
  const struct process_spec *spec;
  int stdio[3], status, mnt_ns, cgroup_ns;
  /* `ahead`: made before its orders came. What PID 1 mounts in the root appears in its root too, and it has no descriptors
   * but those of its own. */
  bool new_namespaces, ahead;
};
/* What is the same for all programs. */
void launch_common(void);
_Noreturn void launch_child(const struct launch *launch);
/* What is the program's own, in the root and the namespaces where it is already. */
_Noreturn void launch_program(const struct launch *launch);
_Noreturn void launch_fail(int status_fd, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* enter_root.c */
void enter_new_root(const struct launch *launch);
void join_workload(const struct launch *launch);

/* launcher.c: the workload's process made ahead, in a template with a root */
struct ends;
void launcher_stage(void);
/* The root has become read-only, which its own is not. */
void launcher_read_only(void);
/* A process was reaped, which it may have been. */
void launcher_gone(pid_t pid);
/* Ends it if it waits for orders. */
void launcher_drop(void);
/* Makes it the workload and gives its streams; false when there is none that fits: none is left then. */
bool launcher_start(struct proc *proc, const struct process_spec *spec, struct ends *ends);

/* user.c: /etc/passwd and /etc/group of the root */
enum { MAX_GROUPS = 64 };
struct identity {
  uid_t uid;
  gid_t gid;
  gid_t groups[MAX_GROUPS];
  size_t group_count;
  char home[512];
};
/* NULL, or what is wrong. */
const char *identity_find(const char *user, const struct strings *extra, struct identity *out);

/* caps.c */
const char *caps_apply(const struct process_spec *spec, uid_t uid);

/* prepare.c, net.c, mounts.c, files.c: run in a job, or where nothing is waited for in PID 1 itself; each says its error by
 * fail() and gives non-zero */
int prepare_machine(const struct machine_orders *orders);
/* What of that depends on nothing but the disks, for a template whose clones all begin with the same two. */
int prepare_root(const struct machine_orders *orders);
int mount_all(const struct machine_orders *orders);
int make_dev(void);
int mount_root(const struct machine_orders *orders);
/* Waits until the writable layer is on its disk. */
int sync_upper(void);
/* Whether the root was mounted by an order before this one. */
bool root_is_mounted(void);
int write_files(const struct file_order *files, size_t count);
/* Uncovers what the root has in their places. */
void take_files_away(const struct file_order *files, size_t count);
void ready_network(void);
int configure_network(const struct machine_orders *orders);
bool forget_network(void);
int set_clock(uint64_t wall_ms);
int push_layer(bool with_tar);
/* What fails outside of a job says why in `text`; until it is called again with NULL. */
void keep_failure(char *text, size_t size);
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int make_dirs(const char *path, unsigned mode);
int write_file(const char *path, const void *data, size_t length, unsigned mode);
long read_small_file(const char *path, char *out, size_t size);
/* How often and how long to look for a share that is being plugged in, and to wait for a disk: half a minute in all. */
enum { DEVICE_TRIES = 6000, DEVICE_PAUSE_US = 5000, DEVICE_WAIT_MS = 30000 };
/* disks.c: path of a block device by the serial of its virtio-blk disk; it can be opened. Waits for a disk that is being
 * plugged in: a loaded host under emulation may take many seconds to get there. */
bool find_disk(const char *serial, char *out, size_t size);
/* uevents.c: -1, or where the kernel says which devices come and go; whether something came within so many milliseconds. */
int open_uevents(void);
bool await_uevent(int fd, int ms);
/* An ext4 disk. Tables that mkfs left for later stay so: else the kernel writes zeroes for the machine's first half minute.
 * And what is free is read when something is to be written, not by a thread that begins within seconds, of a template's in its clones. */
int mount_writable(const char *device, const char *target);

/* step_mounts.c: what a build's step has mounted. NULL, or what is wrong. */
#define SOCKETS PRIVATE "/sockets"
const char *step_mount_all(const struct step_mount *mounts, size_t count);
/* In jobs: a folder of contents from the tar on stdin; the end of a step, whose disks (names between blanks) are free then. */
int step_stage(const char *name);
int step_release(const char *serials);
/* relay.c: in a job; listens and carries connections over stdin and stdout. */
int relay(const struct simple_order *order);

/* tar_*.c: run in a job */
int tar_extract(int in, const char *target);
int tar_create(int out, const char *path, bool follow);
int layer_create(int out, const char *upper);

/* dns.c */
void dns_configure(const struct machine_orders *orders);
void dns_set_names(const struct name_order *names, size_t count);
const char *dns_start(void);

/* observe.c: usage, listening ports, out-of-memory kills */
void stats_write(struct writer *w);
void watch_ports(bool on);
uint64_t oom_kills(void);
/* As of when it was looked at last: at the latest when one was said to be, or a program failed. */
uint64_t oom_kills_known(void);
void oom_watch(void);

/* boot.c */
void boot_machine(int argc, char **argv);
uint64_t boot_ms(void);
void console_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* power.c */
void power_off(uint32_t channel, int stop_signal, uint64_t grace_ms);
/* Called once per round; ends the machine when everything is done. */
void power_step(void);


extern const bool host_test;

#endif
