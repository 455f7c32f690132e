/*
 *   watcher PATH...       prints what inotify tells of these: EVENT,... PATH SIZE, where SIZE is what stat says then (-1: nothing there)
 *   watcher =PATH TEXT    writes a file as any program does
 */
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
  unsigned mask;
  const char *name;
} kinds[] = {{IN_MODIFY, "MODIFY"}, {IN_ATTRIB, "ATTRIB"}, {IN_CLOSE_WRITE, "CLOSE_WRITE"}, {IN_CREATE, "CREATE"}, {IN_DELETE_SELF, "DELETE_SELF"}};

static void print(const struct inotify_event *event, const char *watched) {
  char path[4096];
  struct stat info;
  snprintf(path, sizeof path, "%s%s%s", watched, event->len > 0 ? "/" : "", event->len > 0 ? event->name : "");
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (event->mask & kinds[i].mask) {
      printf("%s %s %ld\n", kinds[i].name, path, stat(path, &info) == 0 ? (long)info.st_size : -1L);
    }
  }
}

int main(int argc, char **argv) {
  static char bytes[65536] __attribute__((aligned(8)));
  if (argc == 3 && argv[1][0] == '=') {
    FILE *file = fopen(argv[1] + 1, "w");
    return file == NULL || fputs(argv[2], file) < 0 || fclose(file) != 0;
  }
  int fd = inotify_init();
  const char *watched[64] = {NULL};
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int i = 1; i < argc && i < 64; i++) {
    int id = inotify_add_watch(fd, argv[i], IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVE | IN_DELETE_SELF);
    watched[id > 0 && id < 64 ? id : 0] = argv[i];
  }
  puts("watching");
  for (ssize_t length; (length = read(fd, bytes, sizeof bytes)) > 0;) {
    for (char *at = bytes; at < bytes + length;) {
      const struct inotify_event *event = (const void *)at;
      print(event, watched[event->wd]);
      at += sizeof *event + event->len;
    }
  }
  return 0;
}
