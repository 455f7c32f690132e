/* Paths inside a root that is not ours: symbolic links in it never lead out of it (openat2 RESOLVE_IN_ROOT). */
#ifndef ROOTED_H
#define ROOTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FD_PATH = 32 };

typedef void rooted_created_fn(const char *path, size_t length);

/* Opens `path` as a process chrooted to `root` would see it. */
int rooted_open(int root, const char *path, int flags);
/* An O_PATH descriptor of `path`, which is made (with its parents) if it is not there; `created` hears of each piece. */
int rooted_make(int root, const char *path, bool directory, mode_t mode, rooted_created_fn *created);
/* Gives a folder, which may be open with O_PATH, the time it had `before`. */
struct stat;
void restore_time(int dir, const struct stat *before);
/* A path that names an open descriptor, for calls that take only paths. */
const char *fd_path(int fd, char *out);

#endif
