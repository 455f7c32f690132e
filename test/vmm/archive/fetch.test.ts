import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { fetchFile } from '../../../vmm/archive/fetch-file.ts';
import { openWebMirror } from '../../../vmm/archive/mirror.ts';
import { tempDir } from '../support.ts';
import { serveMirror, sha256 } from './support.ts';

const { signal } = new AbortController();
const CONTENT = Buffer.alloc(300_000, 'hypr ');
const WANTED = { bytes: CONTENT.length, sha256: sha256(CONTENT) };

const serve = async () => serveMirror(new Map([['pool/a.deb', CONTENT]]));

describe('fetchFile', () => {
  it('continues what an earlier call left', async () => {
    await using mirror = await serve();
    const target = join(await tempDir(), 'a.deb');
    await writeFile(`${target}.part`, CONTENT.subarray(0, 100_000));
    let bytes = 0;
    const onBytes = (more: number) => {
      bytes += more;
    };
    expect(await fetchFile(['pool/a.deb'], target, WANTED, { mirror: openWebMirror(mirror.address, {}), signal, onBytes })).toBe(true);
    expect(mirror.asked).toEqual(['pool/a.deb bytes=100000-']);
    expect(sha256(await readFile(target))).toBe(WANTED.sha256);
    expect(bytes).toBe(WANTED.bytes);
  });

  it('continues within a call when the connection breaks', async () => {
    await using mirror = await serve();
    const target = join(await tempDir(), 'a.deb');
    mirror.intercept = (request, response, content) => {
      if (request.headers.range !== undefined) {
        return false;
      }
      response.writeHead(200, { 'content-length': content.length });
      response.write(content.subarray(0, 50_000));
      // What has arrived but was not read yet is lost when a connection breaks.
      void vi.waitFor(async () => expect((await stat(`${target}.part`)).size).toBeGreaterThan(0), 15_000).finally(() => response.destroy());
      return true;
    };
    expect(await fetchFile(['pool/a.deb'], target, WANTED, { mirror: openWebMirror(mirror.address, {}), signal })).toBe(true);
    expect(mirror.asked.at(-1)).toMatch(/ bytes=\d+-$/);
    expect(sha256(await readFile(target))).toBe(WANTED.sha256);
  });

  it('begins anew with a part of another file, and where a server has no ranges', async () => {
    await using mirror = await serve();
    const target = join(await tempDir(), 'a.deb');
    await writeFile(`${target}.part`, Buffer.alloc(200_000, 'other'));
    mirror.intercept = (request, response, content) => {
      if (mirror.asked.length < 3 || request.headers.range === undefined) {
        return false;
      }
      response.writeHead(200).end(content);
      return true;
    };
    expect(await fetchFile(['pool/a.deb'], target, WANTED, { mirror: openWebMirror(mirror.address, {}), signal })).toBe(true);
    expect(sha256(await readFile(target))).toBe(WANTED.sha256);
  });

  it('keeps nothing of a file that is not what the index says', async () => {
    await using mirror = await serveMirror(new Map([['pool/a.deb', Buffer.alloc(300_000, 'evil ')]]));
    const target = join(await tempDir(), 'a.deb');
    await expect(
      fetchFile(['pool/a.deb'], target, WANTED, { mirror: { ...openWebMirror(mirror.address, {}), isRemote: false }, signal }),
    ).rejects.toMatchObject({
      code: 'TOOLCHAIN_FAILED',
    });
    await expect(stat(target)).rejects.toThrow('ENOENT');
    await expect(stat(`${target}.part`)).rejects.toThrow('ENOENT');
  });

  it('asks a proxy for plain addresses', async () => {
    await using proxy = await serve();
    const target = join(await tempDir(), 'a.deb');
    const mirror = openWebMirror('http://mirror.example/debian', { http_proxy: proxy.address.replace('/debian', '') });
    expect(await fetchFile(['pool/a.deb'], target, WANTED, { mirror, signal })).toBe(true);
    await mirror[Symbol.asyncDispose]();
  });

  it('tries the next path, and says when none is there', async () => {
    await using mirror = await serve();
    const target = join(await tempDir(), 'a.deb');
    const fetching = { mirror: openWebMirror(mirror.address, {}), signal };
    expect(await fetchFile(['by-hash/x'], target, WANTED, fetching)).toBe(false);
    expect(await fetchFile(['by-hash/x', 'pool/a.deb'], target, WANTED, fetching)).toBe(true);
  });
});
