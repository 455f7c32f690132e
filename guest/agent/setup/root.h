/* The root of the service: erofs below, writable layers above. Failures are said by fail(). */
#ifndef ROOT_H
#define ROOT_H

#include <stdbool.h>

/* By the serials of its disks; without an upper disk the writable layer is in memory. */
int mount_root(const char *root_disk, const char *upper_disk);
/* Whether the root was mounted by a request before this one. */
bool root_is_mounted(void);
/* Waits until the writable layer is on its disk. */
int sync_upper(void);

/* A new writable layer, and an overlay of all layers up to that one. */
int make_layer(int number);
int mount_overlay(int top, const char *target);
/* Where programs have /proc and /sys. */
int make_mount_points(int root);

#endif
