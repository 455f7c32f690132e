import { mkdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { diskError } from '../../base/host/files.ts';
import type { BackedMount } from '../machine/machine-config.ts';
import type { ReplicaMount, ReplicaSpec } from '../model/spec.ts';

/** A single file that is copied into the guest at start. */
const MAX_COPIED_FILE = 4 * 2 ** 20;

/**
 * What backs a bind mount: the folder, which is made where there is none, or the file. Throws HYPR_PERMISSION where there is none and none may
 * be made, HYPR_UNSUPPORTED for what no machine can have.
 */
export const backBind = async (spec: ReplicaSpec, mount: ReplicaMount & { kind: 'bind' }): Promise<BackedMount> => {
  const info = await stat(mount.source).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) {
      return undefined;
    }
    throw diskError(error, mount.source);
  });
  if (info === undefined) {
    if (!mount.create) {
      throw new HyprError('HYPR_PERMISSION', `service ${spec.service}: bind source path does not exist: ${mount.source}`, {
        hint: 'create it, or leave out `create_host_path: false`, so that it is made as an empty folder',
      });
    }
    await mkdir(mount.source, { recursive: true });
    return { mount, backing: { kind: 'folder', path: mount.source, ownership: 'squash' } };
  }
  if (info.isDirectory()) {
    return { mount, backing: { kind: 'folder', path: mount.source, ownership: 'squash' } };
  }
  if (mount.synced === 'folder') {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `service ${spec.service}: ${mount.source} is no folder, and x-hypr.mount: synced is for folders`,
      {
        hint: 'remove it there, or mount its folder',
      },
    );
  }
  if (info.isSocket()) {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `service ${spec.service}: ${mount.source} is a socket of the host, which a machine cannot reach`,
      {
        hint: 'what connects to it must run on the host; only docker.sock is answered by hypr itself',
      },
    );
  }
  if (mount.source === '/dev/null') {
    // The usual way to hide a file of the image.
    return { mount, backing: { kind: 'file', content: Buffer.alloc(0), mode: 0o666 } };
  }
  if (!info.isFile()) {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `service ${spec.service}: ${mount.source} is ${info.isFIFO() ? 'a pipe' : 'a device'} of the host, which a machine cannot have`,
      {
        hint: 'bind a file or a folder; /dev in the machine has devices of its own',
      },
    );
  }
  // A read-only file is copied at start, so that the guest sees that file and not its whole folder.
  if (mount.readOnly && info.size <= MAX_COPIED_FILE) {
    return { mount, backing: { kind: 'file', content: await readFile(mount.source), mode: info.mode & 0o777 } };
  }
  return { mount, backing: { kind: 'shared-file', folder: dirname(mount.source), name: basename(mount.source) } };
};
