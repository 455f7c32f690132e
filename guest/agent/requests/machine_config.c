#include "requests/machine_config.h"

#include <string.h>

#include "requests/decode.h"

static bool decode_mount(struct arena *arena, struct fields list, struct mount_config *out) {
  struct field f;
  bool ok = true;
  uint32_t kind = 0;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case TAG_MOUNT_KIND: ok = read_u32(&f, &kind) && kind >= MOUNT_DISK && kind <= MOUNT_TMPFS; break;
      case TAG_MOUNT_SOURCE: ok = read_text(arena, &f, &out->source); break;
      case TAG_MOUNT_TARGET: ok = read_text(arena, &f, &out->target); break;
      case TAG_MOUNT_READ_ONLY: ok = read_flag(&f, &out->read_only); break;
      case TAG_MOUNT_SUBPATH: ok = read_text(arena, &f, &out->subpath); break;
      case TAG_MOUNT_IMAGE: ok = read_flag(&f, &out->image); break;
      case TAG_MOUNT_SEED: ok = read_flag(&f, &out->seed); break;
      case TAG_MOUNT_SIZE: ok = field_int(&f, &out->size); break;
      case TAG_MOUNT_MODE: ok = read_u32(&f, &out->mode), out->has_mode = true; break;
      case TAG_MOUNT_FILE: ok = read_text(arena, &f, &out->file); break;
      case TAG_MOUNT_SYNCED: ok = read_flag(&f, &out->synced); break;
    }
  }
  out->kind = kind;
  if (out->synced && (kind != MOUNT_SHARE || out->file != NULL || out->subpath != NULL)) {
    return false;
  }
  return ok && fields_ok(&list) && kind != 0 && out->target != NULL && (kind == MOUNT_TMPFS || out->source != NULL);
}

static bool decode_nic(struct arena *arena, struct fields list, struct nic_config *out) {
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case TAG_NIC_MAC: ok = read_fixed(&f, out->mac, 6); break;
      case TAG_NIC_NAME: ok = read_text(arena, &f, &out->name) && out->name[0] != 0 && strlen(out->name) < 16; break;
      case TAG_NIC_ADDRESS: ok = read_fixed(&f, out->address, 4); break;
      case TAG_NIC_PREFIX: ok = read_u32(&f, &out->prefix) && out->prefix <= 32; break;
      case TAG_NIC_GATEWAY: ok = read_fixed(&f, out->gateway, 4), out->has_gateway = true; break;
      case TAG_NIC_MTU: ok = read_u32(&f, &out->mtu); break;
      case TAG_NIC_ADDRESS6: ok = read_fixed(&f, out->address6, 16), out->has_address6 = true; break;
      case TAG_NIC_PREFIX6: ok = read_u32(&f, &out->prefix6) && out->prefix6 <= 128; break;
      case TAG_NIC_GATEWAY6: ok = read_fixed(&f, out->gateway6, 16), out->has_gateway6 = true; break;
    }
  }
  return ok && fields_ok(&list) && out->name != NULL;
}

static bool decode_name(struct arena *arena, struct fields list, struct dns_name *out) {
  struct fields all = list;
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    if (f.tag == TAG_NAME_NAME) {
      ok = read_text(arena, &f, &out->name);
    } else if (f.tag == TAG_NAME_ADDRESS) {
      if (out->addresses == NULL) {
        out->addresses = take_slots(arena, all, TAG_NAME_ADDRESS, 4);
      }
      ok = out->addresses != NULL && read_fixed(&f, out->addresses[out->count++], 4);
    } else if (f.tag == TAG_NAME_ADDRESS6) {
      if (out->addresses6 == NULL) {
        out->addresses6 = take_slots(arena, all, TAG_NAME_ADDRESS6, 16);
      }
      ok = out->addresses6 != NULL && read_fixed(&f, out->addresses6[out->count6++], 16);
    }
  }
  return ok && fields_ok(&list) && out->name != NULL;
}

static bool decode_host(struct arena *arena, struct fields list, struct hosts_line *out) {
  struct fields all = list;
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    if (f.tag == TAG_HOST_ADDRESS) {
      ok = read_text(arena, &f, &out->address);
    } else if (f.tag == TAG_HOST_NAME) {
      ok = add_text(arena, all, &f, &out->names);
    }
  }
  return ok && fields_ok(&list) && out->address != NULL;
}

static bool decode_file(struct arena *arena, struct fields list, struct file_spec *out) {
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case TAG_FILE_PATH: ok = read_text(arena, &f, &out->path); break;
      case TAG_FILE_CONTENT: out->content = f.value, out->length = f.length; break;
      case TAG_FILE_MODE: ok = read_u32(&f, &out->mode); break;
      case TAG_FILE_UID: ok = read_u32(&f, &out->uid); break;
      case TAG_FILE_GID: ok = read_u32(&f, &out->gid); break;
      case TAG_FILE_READ_ONLY: ok = read_flag(&f, &out->read_only); break;
      case TAG_FILE_APPEND: ok = read_flag(&f, &out->append); break;
    }
  }
  return ok && fields_ok(&list) && out->path != NULL;
}

static bool decode_sysctl(struct arena *arena, struct fields list, struct sysctl_config *out) {
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    if (f.tag == TAG_SYSCTL_KEY) {
      ok = read_text(arena, &f, &out->key);
    } else if (f.tag == TAG_SYSCTL_VALUE) {
      ok = read_text(arena, &f, &out->value);
    }
  }
  return ok && fields_ok(&list) && out->key != NULL && out->value != NULL;
}

static bool decode_list_field(struct arena *arena, struct fields all, const struct field *f, struct machine_config *out) {
  void *slot;
  switch (f->tag) {
    case TAG_MACHINE_MOUNT: return DECODE_INTO(out->mounts, out->mount_count, decode_mount);
    case TAG_MACHINE_NIC: return DECODE_INTO(out->nics, out->nic_count, decode_nic);
    case TAG_MACHINE_NAME: return DECODE_INTO(out->names, out->name_count, decode_name);
    case TAG_MACHINE_SEARCH: return add_text(arena, all, f, &out->search);
    case TAG_MACHINE_UPSTREAM: return add_text(arena, all, f, &out->upstreams);
    case TAG_MACHINE_OPTION: return add_text(arena, all, f, &out->options);
    case TAG_MACHINE_HOST: return DECODE_INTO(out->hosts, out->host_count, decode_host);
    case TAG_MACHINE_FILE: return DECODE_INTO(out->files, out->file_count, decode_file);
    case TAG_MACHINE_SYSCTL: return DECODE_INTO(out->sysctls, out->sysctl_count, decode_sysctl);
  }
  return true;
}

const char *decode_machine(struct arena *arena, struct fields list, struct machine_config *out) {
  struct fields all = list;
  struct field f;
  bool ok = true;
  while (ok && fields_next(&list, &f)) {
    switch (f.tag) {
      case TAG_MACHINE_HOSTNAME: ok = read_text(arena, &f, &out->hostname); break;
      case TAG_MACHINE_DOMAINNAME: ok = read_text(arena, &f, &out->domainname); break;
      case TAG_MACHINE_MACHINE_ID: ok = read_text(arena, &f, &out->machine_id); break;
      case TAG_MACHINE_ENTROPY: out->entropy = f.value, out->entropy_length = f.length; break;
      case TAG_MACHINE_CLOCK: ok = field_int(&f, &out->clock); break;
      case TAG_MACHINE_ROOT_DISK: ok = read_text(arena, &f, &out->root_disk); break;
      case TAG_MACHINE_UPPER_DISK: ok = read_text(arena, &f, &out->upper_disk); break;
      case TAG_MACHINE_READ_ONLY: ok = read_flag(&f, &out->read_only); break;
      default: ok = decode_list_field(arena, all, &f, out);
    }
  }
  return !ok || !fields_ok(&list) || arena->failed ? "the description of the machine is malformed" : NULL;
}
