import { chmod, link, lutimes, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Random } from '../../support/random.ts';
import { randomArchive } from './random-archive.ts';

/** One thing of a build context. */
export type ContextItem =
  | { readonly kind: 'file'; readonly path: string; readonly text: string | Uint8Array; readonly mode: number; readonly time: number }
  | { readonly kind: 'dir'; readonly path: string; readonly mode: number; readonly time: number }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string; readonly time: number }
  | { readonly kind: 'hardlink'; readonly path: string; readonly target: string };

const FOLDERS = ['d', 'd/sub', 'd/sub/deep', 'e', 'e e', 'empty'];
const NAMES = ['a.txt', 'b', 'c.go', 'x.md', '.hidden', 'sp ace', 'ünï', 'star*', 'q[1]', 'run.sh', '-dash', 'per%20cent'];
const ODD_NAMES = ['.wh.gone', '.wh..wh..opq', '.wh.d'];
const MODES = [0o644, 0o755, 0o600, 0o4755, 0o2755, 0o666, 0o444, 0o640];
const TARGETS = ['/d', '.', '/d/sub', '/e', '/empty'];

/** A random context: folders, files, links. The same choices give the same context. */
export const generateContext = (random: Random): ContextItem[] => {
  const items: ContextItem[] = FOLDERS.map((path) => ({
    kind: 'dir',
    path,
    mode: random.pick([0o755, 0o755, 0o700, 0o2775, 0o1777]),
    time: timeOf(random),
  }));
  const files: string[] = [];
  for (const folder of ['', ...FOLDERS.slice(0, -1)]) {
    for (const name of NAMES.filter(() => random.chance(0.35))) {
      const path = folder === '' ? name : `${folder}/${name}`;
      files.push(path);
      items.push({
        kind: 'file',
        path,
        text: random.chance(0.1) ? '' : `${path}\n`.repeat(1 + random.below(40)),
        mode: random.pick(MODES),
        time: timeOf(random),
      });
    }
  }
  for (let index = 0; index < 3; index++) {
    items.push({
      kind: 'symlink',
      path: `${random.pick(['', 'd/', 'e/'])}link${index}`,
      target: random.pick(TARGETS),
      time: timeOf(random),
    });
  }
  if (random.chance(0.5) && files.length > 0) {
    items.push({ kind: 'hardlink', path: `${random.pick(['', 'd/', 'e/'])}twin`, target: random.pick(files) });
  }
  if (random.chance(0.3)) {
    items.push({ kind: 'file', path: 'd/archive', text: randomArchive(random), mode: 0o644, time: timeOf(random) });
  }
  if (random.chance(0.1)) {
    items.push({ kind: 'file', path: random.pick(ODD_NAMES), text: 'odd', mode: 0o644, time: timeOf(random) });
  }
  return items;
};

const timeOf = (random: Random): number => random.pick([1, 86_400, 1_000_000_000, 1_234_567_890.75, 1_700_000_000]);

/** Writes a context into a folder that is there; times last, because writing into a folder changes its own. */
export const writeContext = async (folder: string, items: readonly ContextItem[]): Promise<void> => {
  for (const item of items) {
    const path = join(folder, item.path);
    await mkdir(dirname(path), { recursive: true });
    switch (item.kind) {
      case 'file':
        await writeFile(path, item.text);
        await chmod(path, item.mode);
        break;
      case 'dir':
        await mkdir(path, { recursive: true });
        await chmod(path, item.mode);
        break;
      case 'symlink':
        await symlink(item.target, path);
        break;
      case 'hardlink':
        await link(join(folder, item.target), path);
        break;
    }
  }
  for (const item of [...items].reverse()) {
    if (item.kind !== 'hardlink') {
      await lutimes(join(folder, item.path), item.time, item.time);
    }
  }
};
