import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { normaliseLayer } from '../../../builder/layers/normalise.ts';
import { replayRecipe } from '../../../builder/layers/recipe.ts';
import { scanTarFile } from '../../../builder/layers/scan-file.ts';
import { runs } from '../../support/seed.ts';
import { inPieces, type RawEntry, rawTar, sha256 } from './tar-builder.ts';

const name = fc.constantFrom(
  'a',
  'b',
  'a/b',
  'b/a',
  'a/b/c',
  './a',
  '../a',
  '/b/',
  'a/../b',
  '.wh.a',
  'a/.wh..wh..opq',
  '.wh..wh.plnk',
  'b/.wh.c',
  './',
  '',
);
const entry: fc.Arbitrary<RawEntry> = fc.record({
  name,
  type: fc.constantFrom('0', '\0', '1', '2', '3', '5', '5', '5', '6', '7', 's', 'g', 'x'),
  link: name,
  data: fc.constantFrom('', 'x', 'y'.repeat(600)),
  mode: fc.nat(0o7777),
});
const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 });

/** Either refused, or a tar of unique, clean names inside the root from which the original can be restored. */
const check = async (tar: Buffer, piece: number): Promise<boolean> => {
  const folder = mkdtempSync(join(tmpdir(), 'hypr-fuzz-'));
  try {
    const layer = await normaliseLayer(inPieces(tar, piece), { folder, limits: { bytes: 1 << 22, fileSize: 1 << 22 } });
    const parts: Buffer[] = [];
    for await (const part of replayRecipe(join(folder, 'recipe.gz'), join(folder, 'layer.tar'))) {
      parts.push(part);
    }
    expect(sha256(Buffer.concat(parts))).toBe(layer.diffId);
    const files = new Set<string>();
    const folders = new Set<string>(['']);
    await scanTarFile(join(folder, 'layer.tar'), { extension: 1 << 20, fileSize: 2 ** 40 }, ({ path, type, link }) => {
      const clean = path.replace(/^\.\/?/, '').replace(/\/$/, '');
      expect(clean.split('/').some((part) => part === '..' || part === '.')).toBe(false);
      expect(files.has(clean)).toBe(false);
      expect(folders.has(clean.includes('/') ? clean.slice(0, clean.lastIndexOf('/')) : ''), clean).toBe(true);
      if (type === 'hardlink') {
        expect(files.has(link.replace(/^(\.?\/)/, ''))).toBe(true);
      }
      files.add(clean);
      if (type === 'dir') {
        folders.add(clean);
      }
    });
    return true;
  } catch (error) {
    if (error instanceof HyprError && error.code === 'IMAGE_LAYER') {
      return false;
    }
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

test('any entries in any order', async () => {
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 8 }), fc.integer({ min: 1, max: 2000 }), async (entries, piece) => {
      accepted += Number(await check(rawTar(entries), piece));
    }),
    runs(150),
  );
  expect(accepted).toBeGreaterThan(15);
});

test('damaged bytes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { minLength: 1, maxLength: 5 }), flips, fc.nat(), async (entries, changes, cut) => {
      const tar = rawTar(entries);
      for (const [at, value] of changes) {
        tar[at % tar.length] = value;
      }
      await check(tar.subarray(0, cut % 3 === 0 ? cut % tar.length : tar.length), 1000);
    }),
    runs(120),
  );
});
