/* Trees of files as tar streams, and mount points of the root. */
#ifndef TREE_H
#define TREE_H

#include <stdbool.h>
#include <stddef.h>

/* Everything below the folder `dir` as a tar, names relative to it. */
int tree_write(int out, int dir);
/* A tar from `in` below the folder `root`; paths in it never leave it. */
int tree_extract(int in, int root);
/* The same through the mounted root, with a layer's whiteouts carried out. */
int tree_extract_layer(int in, const char *root);

/* Removes `name` in the folder `dir`, whatever it is; gone already is fine. */
int remove_tree(int dir, const char *name);
int empty_folder(int dir);

void remember_created(const char *path, size_t length);
bool was_created(const char *path);
int upper_path(char *out, size_t size);
/* True if a layer below the writable one has a folder of this name with the same owner and mode. */
struct stat;
bool same_below(const char *path, const struct stat *st);
/* Mounts a detached tree at `path` inside another mount namespace. */
int tree_move_into(int tree, int mnt_ns, const char *path);

#endif
