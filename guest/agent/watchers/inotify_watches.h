/* What the programs of the guest watch with inotify, of all processes that this agent sees. */
#ifndef INOTIFY_WATCHES_H
#define INOTIFY_WATCHES_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>

enum { MAX_HANDLE = 64 };

struct inotify_watch {
  /* As the kernel has it: see kernel_device(). */
  uint32_t device;
  /* For open_by_handle_at. */
  struct file_handle handle;
  unsigned char bytes[MAX_HANDLE];
};

/* The device of a struct stat as the kernel has it. */
uint32_t kernel_device(uint64_t device);
/* Calls `fn` with each until it returns false. */
void each_inotify_watch(bool (*fn)(const struct inotify_watch *watch, void *context), void *context);

#endif
