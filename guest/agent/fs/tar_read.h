/* Unpacking tar archives; paths in them never leave the root. Failures are said by fail(). */
#ifndef TAR_READ_H
#define TAR_READ_H

/* A tar from `in` below the folder `root`. */
int tree_extract(int in, int root);
/* The same through the mounted root, with the whiteouts of a layer carried out. */
int tree_extract_layer(int in, const char *root);
/* Below `target`, a path in the service's root, which is made if it is missing. */
int tar_extract(int in, const char *target);

#endif
