/* A folder of which a guest is about to tell its programs that it is new. */
#ifndef NEW_FOLDER_H
#define NEW_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* The mode with which the guest's agent "makes" it; nothing is ever made with it here. */
#define TOLD_MODE 01117

/* For a moment the name in the folder `parent` is not there for lookups, so that the guest's kernel lets it be made. */
void new_folder_begin(int parent, const char *name, size_t length);
bool is_new_folder(int parent, const char *name);
/* Whether it was that one; it is there for lookups again. */
bool new_folder_end(int parent, const char *name);

#pragma GCC visibility pop

#endif
