#include "setup/volumes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/copy_tree.h"
#include "fs/rooted.h"
#include "lib/failure.h"
#include "lib/files.h"
#include "lib/overlay.h"
#include "lib/paths.h"
#include "setup/bind.h"
#include "devices/disks.h"
#include "devices/uevents.h"

static bool is_empty(int dir) {
  int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *list = copy < 0 ? NULL : fdopendir(copy);
  struct dirent *entry;
  bool empty = list != NULL;
  while (list != NULL && (entry = readdir(list)) != NULL) {
    empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
  }
  if (list != NULL) {
    closedir(list);
  }
  return empty;
}

/* An empty volume begins as a copy of what the image has at its place, owner and mode included. */
static int seed_volume(int root, const char *target, int volume) {
  struct stat st;
  int from = rooted_open(root, target, O_RDONLY | O_DIRECTORY);
  if (from < 0) {
    return 0;
  }
  bool ok = fstat(from, &st) == 0 && fchown(volume, st.st_uid, st.st_gid) == 0 && fchmod(volume, st.st_mode & 07777) == 0;
  ok = ok && (is_empty(from) || copy_tree(from, volume));
  close(from);
  return ok ? 0 : fail(REASON_MOUNT, "filling the volume at %s from the image: %s", target, strerror(errno));
}

/* A folder (or a file) on a mounted disk or share; what lies beside it stays hidden. */
static int open_source(const struct mount_config *m, const char *mounted) {
  int base = open(mounted, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const char *below = m->file != NULL ? m->file : m->subpath;
  int fd = base;
  if (base >= 0 && below != NULL && below[0] != 0) {
    fd = rooted_open(base, below, m->file != NULL ? O_PATH : O_RDONLY);
    int error = errno;
    close(base);
    errno = error;
  }
  return fd >= 0 ? fd : fail(REASON_MOUNT, "%s of the volume for %s: %s", below == NULL ? "the folder" : below, m->target, strerror(errno));
}

/* The kernel finds a share by its tag, and gives EINVAL while it is still being plugged in. */
static int mount_share(const char *tag, const char *target) {
  int result = mount(tag, target, "virtiofs", 0, NULL);
  for (int tries = 0; result != 0 && errno == EINVAL && tries < DEVICE_TRIES; tries++) {
    usleep(DEVICE_PAUSE_US);
    result = mount(tag, target, "virtiofs", 0, NULL);
  }
  return result;
}

static int mount_source(const struct mount_config *m, const char *device, const char *target) {
  if (m->kind != MOUNT_DISK) {
    return mount_share(m->source, target);
  }
  return m->image ? mount(device, target, "erofs", MS_RDONLY, NULL) : mount_writable(device, target);
}

/* One volume may have several places: its file system is mounted once, in private. */
static int mount_private(const struct mount_config *m, char *out, size_t size) {
  bool disk = m->kind == MOUNT_DISK;
  char device[64];
  snprintf(out, size, PRIVATE "/%s/%s", disk ? "disk" : "share", m->source);
  if (strchr(m->source, '/') != NULL) {
    return fail(REASON_MOUNT, "the name of a volume holds a slash");
  }
  if (access(out, F_OK) != 0) {
    if (disk && !find_disk(m->source, device, sizeof device)) {
      return fail(REASON_MACHINE, "there is no disk with the serial %s", m->source);
    }
    if (make_dirs(out, 0755) != 0 || mount_source(m, device, out) != 0) {
      int error = errno;
      rmdir(out);
      return fail(REASON_MOUNT, "mounting the volume for %s: %s", m->target, strerror(error));
    }
  }
  if (disk && !m->image) {
    /* lost+found stays outside of what the service sees. */
    strncat(out, "/_data", size - strlen(out) - 1);
    if (mkdir(out, 0755) != 0 && errno != EEXIST) {
      return fail(REASON_MOUNT, "the volume for %s: %s", m->target, strerror(errno));
    }
  }
  return 0;
}

/* The folder that the service sees in the share's place. One that was not there holds nothing that was ever equal. */
static int open_synced(const struct mount_config *m, const char *mounted) {
  char place[4096], tree[4096];
  struct stat host;
  int length = snprintf(place, sizeof place, SYNCED "/%s/place", m->source);
  snprintf(tree, sizeof tree, SYNCED "/%s/tree", m->source);
  int fd = -1;
  if (length < (int)sizeof place - 8 && make_dirs(place, 0700) == 0 && stat(mounted, &host) == 0) {
    bool is_new = mkdir(tree, 0700) == 0;
    strcat(place, "/state");
    if (is_new) {
      unlink(place);
    }
    fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  if (fd < 0 || fchown(fd, host.st_uid, host.st_gid) != 0 || fchmod(fd, host.st_mode & 07777) != 0) {
    int error = errno;
    if (fd >= 0) {
      close(fd);
    }
    return fail(REASON_MOUNT, "the synced folder for %s: %s", m->target, strerror(error));
  }
  return fd;
}

static int mount_volume(int root, const struct mount_config *m) {
  char mounted[4096];
  if (mount_private(m, mounted, sizeof mounted) != 0) {
    return -1;
  }
  int source = m->synced ? open_synced(m, mounted) : open_source(m, mounted);
  if (source < 0) {
    return -1;
  }
  int result = m->seed && !m->synced && m->file == NULL && is_empty(source) ? seed_volume(root, m->target, source) : 0;
  result = result == 0 ? bind_at(root, m->target, m->read_only, source) : result;
  close(source);
  return result;
}

static int mount_tmpfs(int root, const struct mount_config *m) {
  char options[96], target[FD_PATH];
  int n = snprintf(options, sizeof options, "mode=%o", m->has_mode ? m->mode & 07777 : 01777);
  if (m->size > 0) {
    snprintf(options + n, sizeof options - (size_t)n, ",size=%llu", (unsigned long long)m->size);
  }
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (m->read_only ? MS_RDONLY : 0);
  int fd = rooted_make(root, m->target, true, 0755, remember_created);
  int result = fd < 0 ? -1 : mount("tmpfs", fd_path(fd, target), "tmpfs", flags, options);
  if (fd >= 0) {
    close(fd);
  }
  return result == 0 ? 0 : fail(REASON_MOUNT, "mounting a tmpfs on %s: %s", m->target, strerror(errno));
}

int mount_volumes(const struct mount_config *mounts, size_t count) {
  int root = open(SYSROOT, O_PATH | O_DIRECTORY | O_CLOEXEC), result = 0;
  for (size_t i = 0; result == 0 && i < count; i++) {
    const struct mount_config *m = &mounts[i];
    result = m->kind == MOUNT_TMPFS ? mount_tmpfs(root, m) : mount_volume(root, m);
  }
  close(root);
  return result;
}
