import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Bundle, loadBundle, MARK_LENGTH } from '../../../base/host/load-bundle.ts';

// Else V8 would remember a text of this process, and not look at the cache.
setFlagsFromString('--no-compilation-cache');

const requireFrom = createRequire(import.meta.url);
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hypr-bundle-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A script with chunks as scripts/bundle.mjs writes it. */
const writeScript = (path: string, chunks: Readonly<Record<string, string>>): void => {
  const bodies = Object.entries(chunks).map(([name, body]) => `"${name}"(module, exports, require, __url, __load) {\n${body}\n},\n`);
  const text = `({\n${bodies.join('')}})\n`;
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), `${text}//${createHash('sha256').update(text).digest('hex')}`);
};

const writeBundle = (body: string): void => writeScript('a.cjs', { a: body });

const cachePath = (): string => join(folder, 'a.cjs.cache');

const writeCaches = ({ scripts }: Bundle): void => {
  for (const { path, script } of scripts) {
    const mark = readFileSync(path).subarray(-MARK_LENGTH);
    writeFileSync(`${path}.cache`, Buffer.concat([mark, script.createCachedData()]));
  }
};

const load = (): { answer: unknown; fromCache: boolean } => {
  const { exports, scripts } = loadBundle(folder, 'a', requireFrom);
  const answer = (exports as { answer: () => unknown }).answer();
  return { answer, fromCache: scripts.every(({ fromCache }) => fromCache) };
};

const ONE = 'module.exports = { answer: () => 1 };';

describe('a bundle', () => {
  test('has what it is given, and its frames are of a URL', async () => {
    writeFileSync(join(folder, 'b.mjs'), 'export const b = 2;');
    writeBundle("module.exports = { answer: () => [__url, require('node:path').sep, __load('b.mjs'), new Error('x').stack] };");
    const [url, separator, module, stack] = load().answer as [string, string, Promise<{ b: number }>, string];
    expect(url).toBe(`file://${folder}/a.cjs`);
    expect(separator).toBe('/');
    expect(stack).toContain(`${url}:3:`);
    await expect(module).resolves.toMatchObject({ b: 2 });
  });

  test('that is not there is an error', () => {
    expect(load).toThrow('ENOENT');
  });

  test('runs a chunk when it is first needed, once, and reads only those that the first file has not', () => {
    const once = 'globalThis.ran = (globalThis.ran ?? []).concat(__url.at(-5) + module.exports.name);';
    writeScript('a.cjs', {
      a: "const near = require('./a/near-1.js'); exports.answer = () => [near.name, near.far().name, near.far() === require('./a/far.js')];",
      'near-1': `exports.name = 'near'; ${once} exports.far = () => require('./far.js');`,
      unused: 'throw new Error("nobody asked");',
    });
    writeScript('a/far.cjs', { far: `exports.name = 'far'; ${once} exports.near = require('../a/near-1.js').name;` });
    const bundle = loadBundle(folder, 'a', requireFrom);
    expect(bundle.scripts.map(({ path }) => path)).toEqual([join(folder, 'a.cjs')]);
    expect((bundle.exports as { answer: () => unknown }).answer()).toEqual(['near', 'far', true]);
    expect(Reflect.get(globalThis, 'ran')).toEqual(['anear', 'afar']);
    writeCaches(bundle);
    expect(load()).toEqual({ answer: ['near', 'far', true], fromCache: true });
    Reflect.deleteProperty(globalThis, 'ran');
  });

  test('loads what is heavy of Node when it is used', () => {
    const asked: string[] = [];
    const watched = ((name: string) => {
      asked.push(name);
      return requireFrom(name);
    }) as NodeJS.Require;
    const body =
      "const z = require('node:zlib'); const p = require('node:path'); exports.answer = () => [p.sep, z.gunzipSync(z.gzipSync('x')).toString()];";
    writeBundle(`${body} exports.copy = () => ({ ...z });`);
    const exports = loadBundle(folder, 'a', watched).exports as { answer: () => unknown; copy: () => object };
    expect(asked).toEqual(['node:path']);
    expect(exports.answer()).toEqual(['/', 'x']);
    expect(asked).toEqual(['node:path', 'node:zlib']);
    expect(Object.keys(exports.copy())).toEqual(Object.keys(requireFrom('node:zlib')));
  });

  test('has the default of what is heavy of Node, as a default import wants it', () => {
    writeBundle("const net = require('node:net'); exports.answer = () => net.default.isIP('::1') + net.isIP('127.0.0.1');");
    expect(load().answer).toBe(10);
  });

  test('whose chunk is missing says which', () => {
    writeBundle("exports.answer = () => require('./a/gone.js');");
    expect(load).toThrow(/ENOENT.*a\/gone\.cjs/);
  });
});

describe('the code cache', () => {
  beforeEach(() => {
    writeBundle(ONE);
    writeCaches(loadBundle(folder, 'a', requireFrom));
  });

  test('is used, and nothing is written', () => {
    const before = readdirSync(folder);
    expect(load()).toEqual({ answer: 1, fromCache: true });
    expect(readdirSync(folder)).toEqual(before);
  });

  test('of another text of the same length is not used', () => {
    writeBundle(ONE.replace('1', '2'));
    expect(load()).toEqual({ answer: 2, fromCache: false });
  });

  test.each([
    ['of another version of V8', (cache: Buffer) => cache.fill(0x5a, MARK_LENGTH + 4, MARK_LENGTH + 8)],
    ['made with other flags', (cache: Buffer) => cache.fill(0x5a, MARK_LENGTH + 12, MARK_LENGTH + 16)],
    ['cut short', (cache: Buffer) => cache.subarray(0, cache.length - 40)],
    ['of the mark alone', (cache: Buffer) => cache.subarray(0, MARK_LENGTH)],
    ['that is empty', () => Buffer.alloc(0)],
  ])('%s is refused, and the code compiled', (_what, damage) => {
    const cache = readFileSync(cachePath());
    writeFileSync(cachePath(), damage(cache));
    expect(load()).toEqual({ answer: 1, fromCache: false });
    // It stays as it is: who runs a bundle may not be who made it.
    expect(readFileSync(cachePath())).toEqual(damage(cache));
  });

  test('that is not there is not missed', () => {
    rmSync(cachePath());
    expect(load()).toEqual({ answer: 1, fromCache: false });
  });
});
