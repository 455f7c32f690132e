#ifndef FILES_H
#define FILES_H

#include <stddef.h>

/* mkdir -p; 0 when the folder is there. */
int make_dirs(const char *path, unsigned mode);
/* A mode of 0 means a file that must exist (sysfs, procfs). */
int write_file(const char *path, const void *data, size_t length, unsigned mode);
/* The text of a file that fits into `out`, without blocking; its length, or -1. */
long read_small_file(const char *path, char *out, size_t size);
/* Appends a line to a file that is made if it is missing. Nothing is said when that fails. */
void append_line(const char *file, const char *text, size_t length);

#endif
