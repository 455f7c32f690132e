/* Disks by their serial. They are plugged in while the machine runs and may not be there yet when they are asked for. */
#ifndef DISKS_H
#define DISKS_H

#include <stdbool.h>
#include <stddef.h>

/* Path of a block device by the serial of its virtio-blk disk; it can be opened. Waits for a disk that is being plugged
 * in: a loaded host under emulation may take many seconds to get there. */
bool find_disk(const char *serial, char *out, size_t size);
/* Mounts an ext4 disk. Tables that mkfs left for later stay as they are: otherwise the kernel would write zeroes for the
 * first half minute. Bitmaps are read when something is written: otherwise a thread would read them a few seconds after the
 * mount, in each clone of a template. */
int mount_writable(const char *device, const char *target);

#endif
