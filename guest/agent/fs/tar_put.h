/* One file as a tar entry: extended attributes as SCHILY.xattr, hard links, the whiteouts of a layer. */
#ifndef TAR_PUT_H
#define TAR_PUT_H

#include "fs/tar_format.h"

/* The file at `t->path`, under this name. */
void tar_put_file(struct tar *t, const char *name, const struct stat *st);
/* A link, node or pipe; in a layer a character device 0/0 becomes a whiteout. */
void tar_put_other(struct tar *t, const char *name, const struct stat *st);
/* For the next entry; sorted, so that the same tree always gives the same bytes. */
void tar_put_xattrs(struct tar *t, const char *path);
/* A file that shrinks while it is read is filled up with zeros: its size is in the header already. */
void tar_put_content(struct tar *t, int fd, uint64_t size);

#endif
