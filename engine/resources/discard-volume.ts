import { randomBytes } from 'node:crypto';
import { renameSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { listFolder } from '../../base/host/files.ts';
import type { VolumeRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';

/** No volume's name begins so. */
const DISCARDED = '.removed-';

/**
 * Forgets a volume and removes its files. `find` decides which one it is, in one transaction with its end; undefined: none. Its folder gets
 * another name at once: a new volume of its name, made while the files are removed or after a crash in the middle, has nothing of them and
 * loses nothing with them.
 */
export const discardVolume = async (
  store: Pick<StateStore, 'transaction' | 'removeVolume'>,
  find: () => VolumeRow | undefined,
): Promise<void> => {
  let moved: { readonly from: string; readonly to: string } | undefined;
  try {
    store.transaction(() => {
      const row = find();
      if (row !== undefined) {
        store.removeVolume(row.name);
        // A transaction that a full disk ended begins again as a whole.
        moved ??= setAside(dirname(row.path));
      }
    });
  } catch (error) {
    if (moved !== undefined) {
      renameSync(moved.to, moved.from);
    }
    throw error;
  }
  if (moved !== undefined) {
    await removeDiscarded(dirname(moved.from));
  }
};

const setAside = (from: string): { readonly from: string; readonly to: string } | undefined => {
  const to = join(dirname(from), `${DISCARDED}${randomBytes(6).toString('hex')}`);
  try {
    renameSync(from, to);
    return { from, to };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return undefined;
    }
    throw error;
  }
};

/** Those of a process that was killed as well. */
const removeDiscarded = async (folder: string): Promise<void> => {
  const names = (await listFolder(folder)).filter((name) => name.startsWith(DISCARDED));
  await Promise.all(names.map((name) => rm(join(folder, name), { recursive: true, force: true })));
};
