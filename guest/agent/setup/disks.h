/* Disks by their serial. They are plugged in while the machine runs and may not be there yet when they are asked for. */
#ifndef DISKS_H
#define DISKS_H

#include <stdbool.h>
#include <stddef.h>

/* Path of a block device by the serial of its virtio-blk disk; it can be opened. Waits for a disk that is being plugged
 * in: a loaded host under emulation may take many seconds to get there. */
bool find_disk(const char *serial, char *out, size_t size);
/* An ext4 disk. Tables that mkfs left for later stay so: else the kernel writes zeroes for the machine's first half minute.
 * And what is free is read when something is to be written, not by a thread that begins within seconds: of a template's in all its clones. */
int mount_writable(const char *device, const char *target);

#endif
