#include "process/user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE = 4096 };

static bool parse_id(const char *text, uint32_t *out) {
  char *end;
  errno = 0;
  unsigned long value = strtoul(text, &end, 10);
  *out = (uint32_t)value;
  return text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0 && value < UINT32_MAX;
}

/* Splits in place at ':'; gives how many fields there are. */
static int split(char *line, char **fields, int max) {
  int count = 0;
  for (char *at = line; at != NULL && count < max;) {
    fields[count++] = at;
    at = strchr(at, ':');
    if (at != NULL) {
      *at++ = 0;
    }
  }
  return count;
}

/* A file line by line. Without stdio, whose memory and calls cost an emulated guest more than these small files are worth. */
struct lines {
  int fd;
  size_t at, end;
  char bytes[2 * LINE];
};

static struct lines *lines_open(const char *path) {
  static struct lines lines;
  struct stat info;
  /* Of the workload's root: what is no file could hold up whoever reads it. */
  lines.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), lines.at = lines.end = 0;
  if (lines.fd >= 0 && (fstat(lines.fd, &info) != 0 || !S_ISREG(info.st_mode))) {
    close(lines.fd), lines.fd = -1;
  }
  return &lines;
}

/* The next line, without its end; of one that is too long, parts. NULL, and the file closed, when there is none. */
static char *lines_next(struct lines *l) {
  for (;;) {
    char *line = l->bytes + l->at, *end = memchr(line, '\n', l->end - l->at);
    bool last = end == NULL && (l->fd < 0 || l->end - l->at >= LINE);
    if (end != NULL || (last && l->end > l->at)) {
      end = end == NULL ? l->bytes + l->end : end;
      l->at = (size_t)(end - l->bytes) + (end < l->bytes + l->end);
      *end = 0;
      return line;
    }
    if (last) {
      return NULL;
    }
    memmove(l->bytes, line, l->end -= l->at);
    l->at = 0;
    ssize_t n = read(l->fd, l->bytes + l->end, sizeof l->bytes - 1 - l->end);
    if (n <= 0) {
      close(l->fd);
      l->fd = -1;
    }
    l->end += n > 0 ? (size_t)n : 0;
  }
}

static void lines_close(struct lines *l) {
  if (l->fd >= 0) {
    close(l->fd);
  }
}

static bool find_user(const char *name, bool numeric, uint32_t id, struct identity *out, bool *has_name, char *login, size_t size) {
  struct lines *file = lines_open("/etc/passwd");
  char *line, *f[7];
  bool found = false;
  while (!found && (line = lines_next(file)) != NULL) {
    uint32_t uid, gid;
    if (split(line, f, 7) < 6 || !parse_id(f[2], &uid) || !parse_id(f[3], &gid)) {
      continue;
    }
    found = strcmp(f[0], name) == 0 || (numeric && uid == id);
    if (found) {
      out->uid = uid, out->gid = gid;
      snprintf(out->home, sizeof out->home, "%s", f[5]);
      snprintf(login, size, "%s", f[0]);
      *has_name = true;
    }
  }
  lines_close(file);
  return found;
}

static void add_group(struct identity *out, gid_t gid) {
  for (size_t i = 0; i < out->group_count; i++) {
    if (out->groups[i] == gid) {
      return;
    }
  }
  if (out->group_count < MAX_GROUPS) {
    out->groups[out->group_count++] = gid;
  }
}

static bool is_member(const char *members, const char *login) {
  size_t length = strlen(login);
  for (const char *at = members; length > 0 && at != NULL && *at != 0;) {
    if (strncmp(at, login, length) == 0 && (at[length] == ',' || at[length] == 0)) {
      return true;
    }
    at = strchr(at, ',');
    at = at == NULL ? NULL : at + 1;
  }
  return false;
}

/* A group by name; with `login`, also every group that has this member. */
static bool scan_groups(const char *wanted, gid_t *gid, const char *login, struct identity *out) {
  struct lines *file = lines_open("/etc/group");
  char *line, *f[4];
  bool found = false;
  while ((line = lines_next(file)) != NULL) {
    uint32_t id;
    int count = split(line, f, 4);
    if (count < 3 || !parse_id(f[2], &id)) {
      continue;
    }
    if (wanted != NULL && !found && strcmp(f[0], wanted) == 0) {
      *gid = id, found = true;
    }
    if (login != NULL && count > 3 && is_member(f[3], login)) {
      add_group(out, id);
    }
  }
  lines_close(file);
  return found;
}

static char problem[256];

static const char *find_group(const char *text, gid_t *gid) {
  uint32_t id = 0;
  if (scan_groups(text, gid, NULL, NULL)) {
    return NULL;
  }
  if (!parse_id(text, &id)) {
    snprintf(problem, sizeof problem, "unable to find group %.100s: no matching entries in group file", text);
    return problem;
  }
  *gid = id;
  return NULL;
}

const char *identity_find(const char *user, const struct strings *extra, struct identity *out) {
  char name[256], login[256] = "";
  bool has_name = false;
  uint32_t id = 0;
  memset(out, 0, sizeof *out);
  snprintf(out->home, sizeof out->home, "/");
  snprintf(name, sizeof name, "%s", user);
  char *group = strchr(name, ':');
  if (group != NULL) {
    *group++ = 0;
  }
  bool numeric = parse_id(name[0] == 0 ? "0" : name, &id);
  if (!find_user(name[0] == 0 ? "root" : name, numeric, id, out, &has_name, login, sizeof login)) {
    if (!numeric) {
      snprintf(problem, sizeof problem, "unable to find user %.100s: no matching entries in passwd file", name);
      return problem;
    }
    out->uid = id, out->gid = 0;
  }
  const char *error = NULL;
  if (group != NULL && group[0] != 0) {
    error = find_group(group, &out->gid);
  } else if (has_name) {
    scan_groups(NULL, NULL, login, out);
  }
  add_group(out, out->gid);
  for (size_t i = 0; error == NULL && i < extra->count; i++) {
    gid_t gid = 0;
    error = find_group(extra->items[i], &gid);
    add_group(out, gid);
  }
  return error;
}
