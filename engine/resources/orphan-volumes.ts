import { randomBytes } from 'node:crypto';
import { link, mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { diskError, listFolder } from '../../base/host/files.ts';
import { type HomePaths, shortHash } from '../../base/paths.ts';
import { ANONYMOUS_LABEL } from '../model/volume-name.ts';
import type { VmRow, VolumeRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';
import { discardVolume } from './discard-volume.ts';

/** As docker's names of volumes that nobody named. */
const NAME_DIGITS = 64;
/** The name of a volume that nobody named and that no service has any more. */
export const OWN_NAME = /^[0-9a-f]{64}$/;

interface Place {
  readonly paths: Pick<HomePaths, 'volumes'>;
  readonly store: Pick<StateStore, 'putVolume' | 'removeVolume' | 'transaction' | 'volumes' | 'vms'>;
}

/**
 * Makes volumes without a user of the anonymous disks in a replica's folder, which is about to be removed: as docker's, they have names of 64
 * digits, and stay until they are removed or pruned. `of` tells replicas apart: what is repeated after a crash gives the same names.
 */
export const orphanDisks = async ({ paths, store }: Place, { folder, of }: { folder: string; of: string }): Promise<void> => {
  for (const file of (await listFolder(folder)).filter((each) => each.startsWith('anon-'))) {
    const name = shortHash(`${of} ${file}`, NAME_DIGITS);
    const path = join(paths.volumes, name, 'data.ext4');
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      // Not moved: whatever happens until it is on record, the replica has it.
      await link(join(folder, file), path);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) {
        throw diskError(error, path);
      }
    }
    store.putVolume({ name, stack: '', key: name, form: 'disk', path, labels: { [ANONYMOUS_LABEL]: '' }, createdAt: Date.now() });
  }
};

/** The folder of a volume, below that of all volumes. One that services share without a name is found by one that they all know; the folder has its own. */
export const volumeFolder = ({ name, labels }: Pick<VolumeRow, 'name' | 'labels'>): string =>
  labels[ANONYMOUS_LABEL] === undefined || OWN_NAME.test(name) ? name : randomBytes(NAME_DIGITS / 2).toString('hex');

/**
 * Makes volumes without a user of those that services of a stack shared without a name (`volumes_from`) and that no replica has any more: the
 * next `up` finds none of the name that they all know and makes new ones, as with docker. Those that an older hypr made have no folder of
 * another name, and stay theirs.
 */
export const orphanShared = (store: Place['store'], { stack, spec }: Pick<VmRow, 'stack' | 'spec'>): void => {
  store.transaction(() => {
    for (const row of store.volumes().filter((each) => isNameless(each, stack) && has(spec, each.name))) {
      const name = basename(dirname(row.path));
      if (name !== row.name && OWN_NAME.test(name) && !store.vms().some((vm) => has(vm.spec, row.name))) {
        store.removeVolume(row.name);
        store.putVolume({ ...row, name, key: name, stack: '' });
      }
    }
  });
};

/**
 * Removes the anonymous volumes with a name that were made for a removed replica, unless another one has them. What somebody mounted by its
 * name is not anonymous to them.
 */
export const removeNameless = async (store: Place['store'], { stack, spec }: Pick<VmRow, 'stack' | 'spec'>): Promise<void> => {
  for (const row of store.volumes().filter((each) => isNameless(each, stack) && has(spec, each.name))) {
    await discardVolume(store, () => (store.vms().some((vm) => has(vm.spec, row.name)) ? undefined : row));
  }
};

const isNameless = (row: VolumeRow, stack: string): boolean => row.labels[ANONYMOUS_LABEL] !== undefined && row.stack === stack;

const has = ({ mounts }: VmRow['spec'], volume: string): boolean =>
  mounts.some((mount) => mount.kind === 'volume' && mount.volume === volume);
