/* The layers of the root's overlay, and which mount points in it the agent made. */
#ifndef OVERLAY_H
#define OVERLAY_H

#include <stdbool.h>
#include <stddef.h>

enum { MAX_LAYERS = 120 };

/* The number of the writable layer; -1 while there is none. Each pushed layer adds one. */
int top_layer(void);
/* The folder of the writable layer; 0, or -1 while there is none. */
int upper_path(char *out, size_t size);
/* True if what the layers below the writable one show at a path is a folder with the same owner, mode and time. */
struct stat;
bool same_below(const char *path, const struct stat *st);
/* True for a folder that hides what the layers below have in it. */
bool is_opaque(const char *path);

/* Mount points that were not in the image: they are kept out of the layers that a build exports. */
void remember_created(const char *path, size_t length);
bool was_created(const char *path);

#endif
