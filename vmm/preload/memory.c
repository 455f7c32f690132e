/*
 * A clone's memory: the template's file, copy-on-write. QEMU can map such a file itself, but then it cannot return
 * memory that its guest has freed, because it would punch holes into the file. So it is told to use ordinary memory, and
 * this library maps the file in its place. Memory that it returns later (MADV_DONTNEED) is free for the host, and reads as
 * in the template.
 *
 * HYPR_GUEST_MEMORY names the file. The guest does not run before all of it is mapped.
 */
#include "preload.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int memory = -1;
static size_t memory_size;

bool memory_begin(void) {
  const char *path = getenv("HYPR_GUEST_MEMORY");
  struct stat st;
  if (path == NULL) {
    return true;
  }
  memory = open(path, O_RDONLY | O_CLOEXEC);
  memory_size = memory >= 0 && fstat(memory, &st) == 0 ? (size_t)st.st_size : 0;
  return memory_size > 0;
}

void memory_need(void) {
  if (memory >= 0) {
    fprintf(stderr, "the guest's memory was not mapped\n");
    _exit(1);
  }
}

/* QEMU reserves an address first, and then maps its guest's memory there: no other anonymous mapping has that size and a
 * fixed address. */
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
  bool is_memory = memory >= 0 && fd == -1 && length == memory_size && (flags & MAP_FIXED) != 0 && protection == (PROT_READ | PROT_WRITE);
  if (!is_memory) {
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
  }
  void *at = (void *)syscall(SYS_mmap, address, length, protection, flags & ~MAP_ANONYMOUS, memory, 0);
  close(memory);
  memory = -1;
  return at;
}
