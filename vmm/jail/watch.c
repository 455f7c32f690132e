#include "watch.h"

#include "fence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An editor writes in several steps, a checkout thousands of files: what comes within SETTLE_US is told together. The kernel gives each
 * watch a new number, and a guest may make and remove folders for ever. */
enum { SETTLE_US = 10000, LONGEST = 4000, MOST_IDS = 1 << 20 };

#define CONTENT (IN_MODIFY | IN_ATTRIB)
#define NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)

static int root, events, most_folders, folder_count;
static bool at_limit, is_whole;
/* Paths of watched folders by the number that the kernel gave; NULL for one that is not watched any more. */
static char **paths;
static int path_count;

static void put(char kind, const char *path) {
  putchar(kind);
  fputs(path, stdout);
  putchar(0);
}

static void forget(int id) {
  if (id > 0 && id < path_count && paths[id] != NULL) {
    free(paths[id]);
    paths[id] = NULL;
    folder_count--;
  }
}

static bool remember(int id, const char *path) {
  if (id >= MOST_IDS) {
    return false;
  }
  if (id >= path_count) {
    int count = id + 1024;
    char **grown = realloc(paths, (size_t)count * sizeof *grown);
    if (grown == NULL) {
      return false;
    }
    memset(grown + path_count, 0, (size_t)(count - path_count) * sizeof *grown);
    paths = grown, path_count = count;
  }
  /* The kernel gives a folder that it knows its number again: it was moved. */
  forget(id);
  paths[id] = strdup(path);
  folder_count += paths[id] != NULL;
  return paths[id] != NULL;
}

static int open_below(const char *path) {
  struct open_how how = {
      .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
  };
  return (int)syscall(SYS_openat2, root, *path == 0 ? "." : path, &how, sizeof how);
}

static bool join(char *out, const char *folder, const char *name) {
  return snprintf(out, LONGEST, "%s%s%s", folder, *folder == 0 ? "" : "/", name) < LONGEST;
}

static void reach_limit(void) {
  if (!at_limit) {
    at_limit = true;
    put('l', "");
  }
}

static void flush(void) {
  if (fflush(stdout) != 0) {
    exit(0);
  }
}

/* Asks whoever reads this for more folders, and waits for the answer. Once there are no more, it does not ask again. */
static bool gain_room(void) {
  char answer[16] = "";
  if (at_limit) {
    return false;
  }
  put('m', "");
  flush();
  for (size_t length = 0; length < sizeof answer - 1; length++) {
    ssize_t got;
    while ((got = read(STDIN_FILENO, answer + length, 1)) < 0 && errno == EINTR) {
    }
    if (got != 1 || answer[length] == '\n') {
      answer[length] = 0;
      break;
    }
  }
  int most = atoi(answer);
  bool more = most > most_folders;
  most_folders = more ? most : most_folders;
  return more;
}

/* By its descriptor, not by its path, where a link could be by now. */
static bool watch(int fd, const char *path) {
  char place[32];
  snprintf(place, sizeof place, "/proc/self/fd/%d", fd);
  int id = folder_count < most_folders || gain_room() ? inotify_add_watch(events, place, CONTENT | NAMES | IN_ONLYDIR) : -1;
  if (id < 0) {
    if (folder_count >= most_folders || errno == ENOSPC || errno == ENOMEM) {
      reach_limit();
    }
    return false;
  }
  if (!remember(id, path)) {
    inotify_rm_watch(events, id);
    reach_limit();
    return false;
  }
  return true;
}

static bool is_folder(int fd, const struct dirent *entry) {
  struct stat info;
  return entry->d_type == DT_DIR ||
         (entry->d_type == DT_UNKNOWN && fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode));
}

static bool is_left_out(const char *name) {
  return !is_whole && (strcmp(name, ".git") == 0 || strcmp(name, "node_modules") == 0);
}

struct queued {
  struct queued *next;
  char path[];
};

struct queue {
  struct queued *first, *last;
};

static void append(struct queue *queue, const char *path) {
  struct queued *item = malloc(sizeof *item + strlen(path) + 1);
  if (item == NULL) {
    return;
  }
  item->next = NULL;
  strcpy(item->path, path);
  if (queue->first == NULL) {
    queue->first = item;
  } else {
    queue->last->next = item;
  }
  queue->last = item;
}

/* Watched first, read then: what is made in between is told or read. */
static void visit(const char *folder, bool tell, struct queue *queue) {
  char path[LONGEST];
  int fd = open_below(folder);
  DIR *list = fd >= 0 && watch(fd, folder) ? fdopendir(fd) : NULL;
  if (list == NULL) {
    if (fd >= 0) {
      close(fd);
    }
    return;
  }
  for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !join(path, folder, name)) {
      continue;
    }
    if (tell) {
      put('n', path);
    }
    if (is_folder(dirfd(list), entry) && !is_left_out(name)) {
      append(queue, path);
    }
  }
  closedir(list);
}

/* The upper folders first: where there are too many, the deepest are those that are not watched. */
static void add_tree(const char *folder, bool tell) {
  struct queue queue = {NULL, NULL};
  append(&queue, folder);
  while (queue.first != NULL) {
    struct queued *item = queue.first;
    queue.first = item->next;
    visit(item->path, tell, &queue);
    free(item);
  }
}

/* What was moved away may be outside by now, where nothing is to be told of. */
static void drop_tree(const char *folder) {
  size_t length = strlen(folder);
  for (int id = 1; id < path_count; id++) {
    if (paths[id] != NULL && strncmp(paths[id], folder, length) == 0 && (paths[id][length] == 0 || paths[id][length] == '/')) {
      inotify_rm_watch(events, id);
      forget(id);
    }
  }
}

static void handle(const struct inotify_event *event) {
  char path[LONGEST];
  if (event->mask & IN_Q_OVERFLOW) {
    put('a', "");
    add_tree("", false);
    return;
  }
  const char *folder = event->wd > 0 && event->wd < path_count ? paths[event->wd] : NULL;
  if (folder == NULL) {
    return;
  }
  if (event->mask & IN_IGNORED) {
    forget(event->wd);
    return;
  }
  /* Without a name it is the folder's own attributes, of which the folder above tells. */
  if (event->len == 0 || !join(path, folder, event->name)) {
    return;
  }
  bool is_dir = event->mask & IN_ISDIR;
  put(event->mask & (IN_CREATE | IN_MOVED_TO) ? 'n' : event->mask & (IN_DELETE | IN_MOVED_FROM) ? 'g' : 'w', path);
  if (is_dir && event->mask & (IN_DELETE | IN_MOVED_FROM)) {
    drop_tree(path);
  } else if (is_dir && event->mask & (IN_CREATE | IN_MOVED_TO) && !is_left_out(event->name)) {
    add_tree(path, true);
  }
}

static void handle_ready(void) {
  static char bytes[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
  ssize_t length = read(events, bytes, sizeof bytes);
  for (ssize_t at = 0; at < length;) {
    const struct inotify_event *event = (const struct inotify_event *)(bytes + at);
    handle(event);
    at += (ssize_t)(sizeof *event + event->len);
  }
  flush();
}

int watch_folder(const char *path, int most, bool whole) {
  root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  events = inotify_init1(IN_CLOEXEC);
  most_folders = most;
  is_whole = whole;
  int probe = root < 0 || events < 0 ? -1 : open_below("");
  if (probe < 0) {
    refuse("%s is not watched: %s", path, strerror(errno));
  }
  close(probe);
  add_tree("", false);
  if (folder_count == 0) {
    refuse("%s is not watched: no more folders can be", path);
  }
  put('r', "");
  flush();
  struct pollfd waiting[] = {{.fd = events, .events = POLLIN}, {.fd = STDOUT_FILENO}};
  while (poll(waiting, 2, -1) >= 0 || errno == EINTR) {
    if (waiting[1].revents != 0) {
      return 0;
    }
    usleep(SETTLE_US);
    handle_ready();
  }
  return 0;
}
