import { readFile, realpath, statfs } from 'node:fs/promises';
import type { MachineSpec } from '../model/machine.ts';

/** statfs(2): tmpfs, ramfs. */
const MAGIC: readonly number[] = [0x01021994, 0x858458f6];
const TYPES: readonly string[] = ['tmpfs', 'ramfs'];

/**
 * Whether what a guest writes to its disks or its shared folders is memory of this host. The kernel counts it as the machine's own, or as that of
 * the daemons of its shares, which are in the same cgroup, and nothing can be reclaimed of it. `mounts` is for tests.
 */
export const writesToMemory = async (
  { disks, shares }: { readonly disks: ReadonlyArray<Place>; readonly shares: ReadonlyArray<Place> },
  mounts = '/proc/self/mountinfo',
): Promise<boolean> => {
  const folders = await Promise.all(written(shares).map((path) => realpath(path).catch(() => path)));
  const inMemory = await Promise.all([...written(disks), ...folders].map(isInMemory));
  const below = folders.length === 0 ? [] : memoryMounts(await readFile(mounts, 'utf8').catch(() => ''));
  return inMemory.includes(true) || below.some((mount) => folders.some((folder) => mount.startsWith(folder === '/' ? '/' : `${folder}/`)));
};

type Place = Pick<MachineSpec['disks'][number] | MachineSpec['shares'][number], 'path' | 'readOnly'>;

const written = (places: ReadonlyArray<Place>): string[] => places.flatMap(({ path, readOnly }) => (readOnly ? [] : [path]));

/** What cannot be asked, as a folder that has just been removed, takes no writes. */
const isInMemory = (path: string): Promise<boolean> =>
  statfs(path).then(
    ({ type }) => MAGIC.includes(type >>> 0),
    () => false,
  );

/** Pure: where file systems that are memory are mounted (proc(5), mountinfo); a guest sees those below a folder that it is given. */
export const memoryMounts = (text: string): string[] =>
  text.split('\n').flatMap((line) => {
    const [front = '', back = ''] = line.split(' - ');
    const point = front.split(' ')[4];
    const isMemory = TYPES.includes(back.split(' ')[0] ?? '');
    return point === undefined || !isMemory
      ? []
      : [point.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))];
  });
