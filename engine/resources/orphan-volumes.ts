import { link, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { diskError, listFolder } from '../../base/host/files.ts';
import { type HomePaths, shortHash } from '../../base/paths.ts';
import { ANONYMOUS_LABEL } from '../model/volume-name.ts';
import type { VmRow, VolumeRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';
import { discardVolume } from './discard-volume.ts';

/** As docker's names of volumes that nobody named. */
const NAME_DIGITS = 64;

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

/**
 * Removes the anonymous volumes with a name that were made for a removed replica, unless another one has them. What somebody mounted by its
 * name is not anonymous to them.
 */
export const removeNameless = async (store: Place['store'], { stack, spec }: Pick<VmRow, 'stack' | 'spec'>): Promise<void> => {
  const isIts = (row: VolumeRow): boolean => row.labels[ANONYMOUS_LABEL] !== undefined && row.stack === stack && has(spec, row.name);
  for (const row of store.volumes().filter(isIts)) {
    await discardVolume(store, () => (store.vms().some((vm) => has(vm.spec, row.name)) ? undefined : row));
  }
};

const has = ({ mounts }: VmRow['spec'], volume: string): boolean =>
  mounts.some((mount) => mount.kind === 'volume' && mount.volume === volume);
