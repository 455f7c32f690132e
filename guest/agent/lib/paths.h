/* The places of the agent's own file system. */
#ifndef PATHS_H
#define PATHS_H

/* Where the root of the service is assembled; its processes are moved into it. */
#define SYSROOT "/sysroot"
/* A tmpfs of the agent's, mode 0700: nothing of it is seen in the root but what is bound there. */
#define PRIVATE "/kestrel"
/* The writable layers, on the disk (or the tmpfs) of the upper layer. */
#define LAYERS PRIVATE "/layers"
/* What is kept equal with folders of the host (sync/mirror.h), by the tag of the share: `tree`, and `place` for what is not complete. */
#define SYNCED LAYERS "/sync"
/* The image, read-only. */
#define LOWER PRIVATE "/lower"
/* Unix sockets that a relay listens on and that a step can mount. */
#define SOCKETS PRIVATE "/sockets"

#endif
