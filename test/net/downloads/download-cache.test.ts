import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DownloadCache } from '../../../net/downloads/download-cache.ts';

const FILE = 'http://host/file';
let folder: string;
let cache: DownloadCache;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hypr-downloads-'));
  cache = new DownloadCache(folder);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const keep = async (body: string, headers = {}): Promise<boolean> => {
  const writer = await cache.begin(FILE, { etag: '"1"', ...headers });
  await writer?.write(Buffer.from(body));
  await writer?.commit();
  await writer?.discard();
  return writer !== undefined;
};
const found = async (): Promise<string | undefined> => {
  const known = await cache.find(FILE);
  return known && (await text(known.read()));
};
const bodies = () => readdirSync(folder).filter((name) => name.endsWith('.body'));

describe('downloads that builds share', () => {
  it.each([
    [{ vary: '*' }],
    [{ vary: 'Accept-Encoding, Accept' }],
    [{ vary: 'Accept-Language' }],
    [{ 'content-encoding': 'gzip', vary: 'Accept-Encoding' }],
    [{ 'set-cookie': ['a=b'] }],
    [{ 'cache-control': 'max-age=1, private' }],
  ])('are not kept when they are for one client: %j', async (headers) => {
    expect(await keep('text', headers)).toBe(false);
    expect(await found()).toBeUndefined();
  });

  it.each([[{}], [{ vary: 'accept-encoding' }], [{ vary: 'Accept-Encoding', 'content-encoding': 'identity' }]])(
    'are kept when they suit every client: %j',
    async (headers) => {
      expect(await keep('text', headers)).toBe(true);
      expect(await found()).toBe('text');
    },
  );

  it('that an earlier version kept for one client are not used', async () => {
    await keep('text');
    const [name = ''] = readdirSync(folder).filter((each) => each.endsWith('.json'));
    const meta = JSON.parse(readFileSync(join(folder, name), 'utf8'));
    writeFileSync(join(folder, name), JSON.stringify({ ...meta, headers: { ...meta.headers, 'content-encoding': 'gzip' } }));
    expect(await found()).toBeUndefined();
  });

  it('take the place of what was kept, which whoever has found it still reads', async () => {
    await keep('one');
    const old = await cache.find(FILE);
    await keep('two', { etag: '"2"' });
    expect(bodies()).toHaveLength(1);
    expect(old && (await text(old.read()))).toBe('one');
    await old?.close();
    expect(await found()).toBe('two');
  });

  it('at the same time leave one', async () => {
    await Promise.all(Array.from({ length: 8 }, (_, index) => keep(`${index}`)));
    expect(bodies()).toHaveLength(1);
    expect(await found()).toMatch(/^\d$/);
    expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
  });

  it('that killed builds were fetching go, in whatever form', async () => {
    mkdirSync(join(folder, 'tmp'));
    const dead = join(folder, 'tmp', 'body-4194304-1-00ff');
    const [old, new_] = [join(folder, '.00aa-11.body'), join(folder, '.00aa-22.body')];
    for (const path of [dead, old, new_]) {
      writeFileSync(path, 'half');
    }
    utimesSync(old, 1, 1);
    await keep('text');
    expect([dead, old, new_].map((path) => existsSync(path))).toEqual([false, false, true]);
  });

  it('that cannot be kept are only not kept', async () => {
    const writer = await cache.begin(FILE, { etag: '"1"' });
    await writer?.write(Buffer.from('text'));
    rmSync(join(folder, 'tmp'), { recursive: true });
    await writer?.commit();
    await writer?.discard();
    expect(await found()).toBeUndefined();
  });
});
