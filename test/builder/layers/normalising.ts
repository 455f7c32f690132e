import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { type NormaliseOptions, type NormalLayer, normaliseLayer } from '../../../builder/layers/normalise.ts';
import { replayRecipe } from '../../../builder/layers/recipe.ts';
import { scanTarFile } from '../../../builder/layers/scan-file.ts';
import { inPieces, type RawEntry, rawTar, sha256 } from './tar-builder.ts';

/** Of the test under way: what is normalised is written into it. */
export let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hypr-norm-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Seen {
  readonly [path: string]: string;
}

/** The stored tar as `type mode uid:gid mtime` and what matters besides, by path in order. */
const list = async (): Promise<Seen> => {
  const tar = await readFile(join(folder, 'layer.tar'));
  const seen: Record<string, string> = {};
  await scanTarFile(join(folder, 'layer.tar'), { extension: 1 << 20, fileSize: 2 ** 40 }, (entry) => {
    const what = {
      file: () => JSON.stringify(tar.toString('latin1', entry.data, entry.data + Math.min(entry.size, 40))),
      hardlink: () => entry.link,
      symlink: () => entry.link,
      char: () => `${entry.devMajor}:${entry.devMinor}`,
      block: () => `${entry.devMajor}:${entry.devMinor}`,
      dir: () => '',
      fifo: () => '',
    }[entry.type]();
    const path = entry.path.replace(/^\.\//, '').replace(/\/$/, '') || '.';
    expect(seen[path], `${path} twice`).toBeUndefined();
    const xattrs = entry.xattrs.map(([key, value]) => ` ${key}=${value.toString('hex')}`).join('');
    seen[path] = `${entry.type} ${entry.mode.toString(8)} ${entry.uid}:${entry.gid} ${entry.mtime} ${what}${xattrs}`.trimEnd();
  });
  return seen;
};

/** Normalises, and checks that the original comes back whole. */
export const normal = async (
  entries: readonly RawEntry[] | Buffer,
  options: Partial<NormaliseOptions> & { piece?: number } = {},
): Promise<NormalLayer & { seen: Seen }> => {
  const tar = Buffer.isBuffer(entries) ? entries : rawTar(entries);
  const layer = await normaliseLayer(inPieces(tar, options.piece ?? 700), { folder, ...options });
  const parts: Buffer[] = [];
  for await (const part of replayRecipe(join(folder, 'recipe.gz'), join(folder, 'layer.tar'))) {
    parts.push(part);
  }
  expect(sha256(Buffer.concat(parts))).toBe(layer.diffId);
  expect(layer).toMatchObject({ diffId: sha256(tar), size: tar.length });
  return { ...layer, seen: await list() };
};

/** The text with which a layer is refused. */
export const refused = async (entries: readonly RawEntry[] | Buffer, options: Partial<NormaliseOptions> = {}): Promise<string> => {
  const tar = Buffer.isBuffer(entries) ? entries : rawTar(entries);
  const error = await normaliseLayer(inPieces(tar), { folder, ...options }).then(
    () => undefined,
    (reason: unknown) => reason as { code: string; message: string },
  );
  expect(error?.code).toBe('IMAGE_LAYER');
  return error?.message ?? '';
};

/** A root entry that the layer did not have. */
export const ROOT = 'dir 755 0:0 0';
