/* What a file was, without its content: who changes it changes this. */
#ifndef STAMP_H
#define STAMP_H

#include <stdbool.h>
#include <stdint.h>

struct stamp {
  /* 0: there is nothing. */
  uint32_t mode, links;
  uint64_t size, inode;
  int64_t modified_ns, changed_ns;
};

/* The path `name` in a folder, itself. False where it cannot be known, with errno; what is not there has the mode 0. Of a share the host is
 * asked, whatever the kernel remembers. */
bool stamp_at(int folder, const char *name, struct stamp *out);
/* The same of what was listed or looked up a moment ago, without asking again; an empty name is the descriptor itself. */
bool stamp_listed(int folder, const char *name, struct stamp *out);
bool stamp_of(int fd, struct stamp *out);
bool is_file(const struct stamp *stamp);
bool is_folder(const struct stamp *stamp);
/* A thing that a synced folder can hold: a file, a folder or a symbolic link. */
bool is_plain(const struct stamp *stamp);
bool stamps_equal(const struct stamp *a, const struct stamp *b);
/* But for what a rename changes. */
bool stamps_equal_moved(const struct stamp *a, const struct stamp *b);
/* Whether it is the same file with the same size and time: its mode may be another, or only the time of its change. */
bool content_untouched(const struct stamp *a, const struct stamp *b);

#endif
