import { rm, stat, utimes } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { diskUsage } from '../../base/host/disk-usage.ts';
import { listFolder } from '../../base/host/files.ts';

/** A command that has fetched its files records its stack only later. */
const FRESH_MS = 86_400_000;

/** Where what belongs to remote Compose files is kept, a folder for each commit or digest. */
export const fetchedFolder = (cache: string): string => join(cache, 'compose');

/** Notes that the folder of a fetched Compose file was used now, for `pruneFetched`. */
export const touchFetched = async (cache: string, file: string): Promise<void> => {
  const root = fetchedFolder(cache) + sep;
  const name = file.startsWith(root) ? file.slice(root.length).split(sep)[0] : undefined;
  const now = new Date();
  // Another user's folder is not ours to touch; it is fetched again at worst.
  await (name === undefined ? undefined : utimes(root + name, now, now).catch(() => {}));
};

/**
 * Removes fetched folders that were not used for a day and that no stack has its Compose file or its working folder in. `used` are
 * paths of stacks. Returns the bytes that are free now.
 */
export const pruneFetched = async (cache: string, used: readonly string[], now = Date.now()): Promise<number> => {
  const root = fetchedFolder(cache);
  let bytes = 0;
  for (const name of await listFolder(root)) {
    const folder = join(root, name);
    const isUsed = used.some((path) => path === folder || path.startsWith(folder + sep));
    const { mtimeMs } = await stat(folder);
    if (!isUsed && now - mtimeMs > FRESH_MS) {
      bytes += await diskUsage(folder);
      await rm(folder, { recursive: true, force: true });
    }
  }
  return bytes;
};
