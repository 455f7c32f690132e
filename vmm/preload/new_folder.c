#include "new_folder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* An agent that dies in between must not hide it for long. */
enum { MOMENT_MS = 2000, LONGEST = 256 };

static atomic_bool is_begun;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  dev_t device;
  ino_t number;
  char name[LONGEST];
  uint64_t until;
} folder;

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void new_folder_begin(int parent, const char *name, size_t length) {
  struct stat info;
  if (length >= LONGEST || fstat(parent, &info) != 0) {
    return;
  }
  pthread_mutex_lock(&lock);
  folder.device = info.st_dev, folder.number = info.st_ino, folder.until = now_ms() + MOMENT_MS;
  memcpy(folder.name, name, length);
  folder.name[length] = 0;
  atomic_store(&is_begun, true);
  pthread_mutex_unlock(&lock);
}

bool is_new_folder(int parent, const char *name) {
  struct stat info;
  if (!atomic_load(&is_begun)) {
    return false;
  }
  pthread_mutex_lock(&lock);
  bool in_time = now_ms() < folder.until;
  if (!in_time) {
    atomic_store(&is_begun, false);
  }
  bool is = in_time && strcmp(name, folder.name) == 0 && fstat(parent, &info) == 0 && info.st_dev == folder.device && info.st_ino == folder.number;
  pthread_mutex_unlock(&lock);
  return is;
}

bool new_folder_end(int parent, const char *name) {
  bool is = is_new_folder(parent, name);
  if (is) {
    atomic_store(&is_begun, false);
  }
  return is;
}
