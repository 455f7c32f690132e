/*
 * Two folders kept equal by the guest's code: sync_folders HOST GUEST PLACE [watch]. With the fourth, what other programs change in GUEST is
 * seen (as root only). PLACE holds incomplete files and the state.
 * Without arguments it prints what is done with a path, by host, guest and whether the machine had ended cleanly.
 * Lines on stdin: `h PATH`, `g PATH` (what changed there), `a` (anything may have), `i` (say `idle` when nothing waits), `u` (the machine
 * had ended without a word), `s` (save), `q`. News are lines, too: `conflict PATH`, `left PATH`, `full SIDE`, `space`.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sync/folders.h"
#include "sync/mirror.h"
#include "sync/own_changes.h"
#include "sync/reconcile.h"
#include "sync/state.h"

static void on_news(enum news news, const char *path, const char *reason) {
  static const char *const names[] = {"conflict", "left", "full", "space"};
  printf("%s %s\n", names[news], news == NEWS_FULL ? reason : path);
  fflush(stdout);
}

static int place;

static void on_change(const char *path, bool anew) { mirror_look(path, anew ? WANT_GUEST | WANT_DEEP : WANT_GUEST); }

static void handle(char *line, bool *asked) {
  switch (line[0]) {
    case 'h': mirror_look(line + 2, WANT_HOST | WANT_DEEP); break;
    case 'g': mirror_look(line + 2, WANT_GUEST | WANT_DEEP); break;
    case 'a': mirror_look("", WANT_BOTH | WANT_DEEP); break;
    case 'i': *asked = true; break;
    case 'u': mirror.unclean = true; break;
    case 's': printf("%s\n", state_save(place, mirror_root) ? "saved" : "not saved"), fflush(stdout); break;
    case 'q': exit(0);
  }
}

static int print_table(void) {
  static const char *const changes[] = {"same", "changed", "gone"};
  static const char *const actions[] = {"nothing", "forget", "to guest", "to host", "delete guest", "delete host", "compare"};
  for (int i = 0; i < 18; i++) {
    printf("%s %s %s: %s\n", changes[i / 6], changes[i / 2 % 3], i % 2 ? "unclean" : "clean", actions[reconcile(i / 6, i / 2 % 3, i % 2)]);
  }
  return 0;
}

int main(int argc, char **argv) {
  static char buffer[8192];
  size_t have = 0;
  bool asked = false;
  if (argc != 4 && argc != 5) {
    return print_table();
  }
  int fds[3];
  for (int i = 0; i < 3; i++) {
    fds[i] = open(argv[i + 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  umask(0);
  place = fds[2];
  places = (struct places){fds[0], fds[1], fds[2]};
  mirror = (struct mirror){false, on_news};
  mirror_root = tree_root();
  int changes = argc == 5 ? own_changes_open(places.guest) : -1;
  if (argc == 5 && changes < 0) {
    perror("watching");
    return 1;
  }
  printf("%s\n", state_load(place, mirror_root) ? "loaded" : "new");
  fflush(stdout);
  for (;;) {
    struct pollfd in[] = {{STDIN_FILENO, POLLIN, 0}, {changes, POLLIN, 0}};
    poll(in, 2, queue_due_in(mirror_now()));
    if (in[1].revents != 0) {
      own_changes_read(changes, places.guest, on_change);
    }
    if (in[0].revents != 0) {
      ssize_t got = read(STDIN_FILENO, buffer + have, sizeof buffer - 1 - have);
      if (got <= 0) {
        return 0;
      }
      have += (size_t)got;
      char *end;
      while ((end = memchr(buffer, '\n', have)) != NULL) {
        *end = 0;
        handle(buffer, &asked);
        have -= (size_t)(end + 1 - buffer);
        memmove(buffer, end + 1, have);
      }
    }
    mirror_step(20);
    if (asked && mirror_is_idle()) {
      asked = false;
      puts("idle");
      fflush(stdout);
    }
  }
}
