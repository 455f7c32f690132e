import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TreeEntry } from '../../../builder/context/tree.ts';
import { writeFolder } from '../../../builder/export/write-folder.ts';
import { indexTar, LayerTree } from '../../../builder/solver/layer/layer-tree.ts';

let folder: string;
let tree: LayerTree;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hypr-folder-'));
  mkdirSync(join(folder, 's'));
  writeFileSync(join(folder, 's/f'), 'file');
  execFileSync('tar', ['-C', 's', '-cf', 't.tar', '.'], { cwd: folder });
  tree = LayerTree.empty.withLayer(await indexTar(join(folder, 't.tar')), { whiteouts: false });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The tree, whose contents cannot be read: `before` is called first. */
const failing = (before: () => Promise<unknown>): LayerTree =>
  ({
    list: (path: string) => tree.list(path),
    get: (path: string) => tree.get(path),
    async *read(entry: TreeEntry): AsyncIterable<Uint8Array> {
      yield Buffer.from(entry.path);
      await before();
      throw new Error('broken');
    },
  }) as unknown as LayerTree;

const write = (from: LayerTree, to: string) =>
  writeFolder(from, { folder: join(folder, to), clear: false, epoch: undefined, signal: new AbortController().signal });

describe('a local output that fails', () => {
  it('takes the folders that it made away', async () => {
    await expect(
      write(
        failing(async () => {}),
        'dist/web/deep',
      ),
    ).rejects.toThrow('broken');
    expect(existsSync(join(folder, 'dist'))).toBe(false);
  });

  it('leaves the output of others in them, and what was there before', async () => {
    const api = () => write(tree, 'dist/api');
    await expect(write(failing(api), 'dist/web/deep')).rejects.toThrow('broken');
    expect(readdirSync(join(folder, 'dist'))).toEqual(['api']);
    expect(readdirSync(join(folder, 'dist/api'))).toEqual(['f']);
    mkdirSync(join(folder, 'empty'));
    await expect(
      write(
        failing(async () => {}),
        'empty/web',
      ),
    ).rejects.toThrow('broken');
    expect(readdirSync(join(folder, 'empty'))).toEqual([]);
  });

  it('leaves what others put into the same folder', async () => {
    await expect(
      write(
        failing(() => write(tree, 'dist')),
        'dist',
      ),
    ).rejects.toThrow('broken');
    expect(readdirSync(join(folder, 'dist'))).toEqual(['f']);
  });
});
