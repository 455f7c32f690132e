import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { openImages } from '../../../builder/images.ts';
import { openRepository, type Repository } from '../../../builder/registry/client.ts';
import { type Http, openHttp } from '../../../builder/registry/transport/http.ts';
import { needs } from '../../support/needs.ts';
import { runs } from '../../support/seed.ts';
import { file, rawTar, sha256 } from '../layers/tar-builder.ts';
import { mkfsErofs, noMkfs } from '../store/find-mkfs.ts';
import { FakeRegistry, gzipLayer } from './fake-registry.ts';

/** What a server does with one request for `data`, of which `start` is the first byte asked for. */
type Answer = (response: ServerResponse, start: number, request: IncomingMessage) => void;

const SIZE = 200_000;
const data = Buffer.from(Array.from({ length: SIZE }, (_, index) => (index * 31 + (index >> 8)) & 0xff));

let http: Http;
let answers: Answer[] = [];
let requests: Array<{ range: string | undefined; ifRange: string | undefined }> = [];
const server = createServer((request, response) => {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  requests.push({ range: request.headers.range, ifRange: request.headers['if-range'] as string | undefined });
  // The last answer is that to every further request.
  ((answers.length > 1 ? answers.shift() : answers[0]) as Answer)(response, start, request);
});
beforeAll(async () => {
  http = openHttp({ env: {}, backoff: 1 });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
});
afterAll(async () => {
  await http[Symbol.asyncDispose]();
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

const repository = (): Repository =>
  openRepository({
    http,
    endpoint: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, isMirror: false },
    reference: { domain: '127.0.0.1', path: 'a/b', tag: 'latest', digest: undefined },
    credentials: undefined,
    signal: new AbortController().signal,
  });
/** The whole blob, or the failure. */
const fetch = async (given: readonly Answer[], want = data, ranges = true) => {
  answers = [...given];
  requests = [];
  const parts: Buffer[] = [];
  let resumes = 0;
  const onResume = () => {
    resumes += 1;
  };
  const descriptor = { mediaType: '', digest: sha256(want), size: want.length };
  try {
    for await (const part of repository().blob(descriptor, () => {}, new AbortController().signal, { onResume, ranges })) {
      parts.push(part);
    }
    return { isWhole: Buffer.concat(parts).equals(want), size: Buffer.concat(parts).length, resumes, code: undefined, message: '' };
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { isWhole: false, size: Buffer.concat(parts).length, resumes, code, message };
  }
};

interface Style {
  readonly from?: Buffer;
  readonly headers?: Record<string, string>;
  readonly contentRange?: (start: number) => string;
  readonly ignoresRange?: boolean;
  /** Bytes after which the connection is cut. */
  readonly cut?: number;
  readonly piece?: number;
}

const send =
  ({ from = data, headers = {}, contentRange, ignoresRange = false, cut, piece }: Style = {}): Answer =>
  (response, start) => {
    const first = ignoresRange ? 0 : start;
    const body = from.subarray(first);
    const range = contentRange ?? ((at: number) => `bytes ${at}-${from.length - 1}/${from.length}`);
    response.writeHead(first > 0 ? 206 : 200, {
      'content-length': body.length,
      ...(first > 0 ? { 'content-range': range(first) } : {}),
      ...headers,
    });
    if (cut !== undefined && cut < body.length) {
      response.write(body.subarray(0, cut), () => response.destroy());
    } else if (piece === undefined) {
      response.end(body);
    } else {
      const next = (at: number): void => {
        at >= body.length ? response.end() : response.write(body.subarray(at, at + piece), () => setImmediate(next, at + piece));
      };
      next(0);
    }
  };
const whole = { code: undefined, isWhole: true };

describe('a layer from a bad connection', () => {
  test('cut at any bytes, by a server with or without ranges, it comes whole (seeded)', async () => {
    const cuts = fc.array(fc.integer({ min: 1, max: SIZE }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(cuts, fc.boolean(), fc.constantFrom('"e"', 'W/"e"', undefined), async (at, ignoresRange, etag) => {
        const headers: Record<string, string> = etag === undefined ? {} : { etag };
        const result = await fetch([...at.map((cut) => send({ cut, ignoresRange, headers })), send({ ignoresRange, headers })]);
        expect(result).toMatchObject(ignoresRange && result.code !== undefined ? { code: 'REGISTRY_UNREACHABLE' } : whole);
        // Without ranges a cut before the byte that was reached brings nothing; five in a row are too many.
        expect(ignoresRange && result.code !== undefined ? at.length : 5).toBeGreaterThanOrEqual(5);
      }),
      runs(40),
    );
  });

  test('only what is missing is asked for, of the same copy', async () => {
    const headers = { etag: '"one"' };
    expect(await fetch([send({ cut: 70_000, headers }), send({ headers })])).toMatchObject({ ...whole, resumes: 1 });
    const [first, second] = requests;
    expect(first).toMatchObject({ range: undefined, ifRange: undefined });
    expect(second?.ifRange).toBe('"one"');
    expect(Number(/^bytes=(\d+)-$/.exec(second?.range ?? '')?.[1])).toBeGreaterThan(0);
  });

  test('a weak ETag names no copy', async () => {
    const headers = { etag: 'W/"one"' };
    expect(await fetch([send({ cut: 70_000, headers }), send({ headers })])).toMatchObject(whole);
    expect(requests[1]).toMatchObject({ range: expect.stringMatching(/^bytes=/), ifRange: undefined });
  });

  test('little by little', async () => {
    expect(await fetch([send({ piece: 997 })])).toMatchObject({ ...whole, resumes: 0 });
    expect(await fetch([send({ piece: 9973, cut: SIZE - 1 }), send({ piece: 499 })])).toMatchObject(whole);
  });

  test.each([
    ['another first byte', (start: number) => `bytes ${start + 1}-${SIZE - 1}/${SIZE}`],
    ['another size', (start: number) => `bytes ${start}-${SIZE - 1}/${SIZE + 1}`],
    ['another unit', () => 'lines 1-2/3'],
    ['nonsense', () => 'bytes */x'],
  ])('a Content-Range with %s: from the beginning, and no range is asked for again', async (_, contentRange) => {
    const liar = send({ contentRange });
    expect(await fetch([send({ cut: 70_000 }), liar, send({ cut: 150_000 }), send({})])).toMatchObject(whole);
    expect(requests.map(({ range }) => range !== undefined)).toEqual([false, true, false, false]);
  });

  test('the right Content-Range over other bytes is found out at the end', async () => {
    const shifted: Answer = (response, start) => {
      response.writeHead(206, { 'content-range': `bytes ${start}-${SIZE - 1}/${SIZE}` }).end(data.subarray(0, SIZE - start));
    };
    expect(await fetch([send({ cut: 70_000 }), shifted])).toMatchObject({ code: 'IMAGE_CORRUPT' });
  });

  test('another ETag, and 416: from the beginning', async () => {
    const one = { etag: '"one"' };
    const two = { etag: '"two"' };
    expect(await fetch([send({ cut: 70_000, headers: one }), send({ headers: two })])).toMatchObject(whole);
    expect(requests.map(({ range }) => range !== undefined)).toEqual([false, true, false]);
    const unsatisfied: Answer = (response) => response.writeHead(416, { 'content-range': `bytes */${SIZE}` }).end();
    expect(await fetch([send({ cut: 70_000 }), unsatisfied, send()])).toMatchObject(whole);
  });

  test('bytes that changed meanwhile are found where the connection broke, not at the end', async () => {
    const changed = Buffer.from(data);
    changed[0] = 255;
    const result = await fetch([send({ cut: 70_000 }), send({ from: changed, ignoresRange: true })]);
    expect(result).toMatchObject({ code: 'IMAGE_CORRUPT', message: expect.stringContaining('than before') });
    expect(result.size).toBeLessThanOrEqual(70_000);
  });

  test('another size: said at once, with both', async () => {
    const result = await fetch([send({ from: data.subarray(1) })]);
    expect(result).toMatchObject({ code: 'IMAGE_CORRUPT', message: expect.stringContaining(`of ${SIZE} bytes`) });
    expect(result.message).toContain(`as ${SIZE - 1} bytes`);
    expect(requests).toHaveLength(1);
  });

  test('429 with Retry-After and 503 in between are waited out, and the range asked for again', async () => {
    const busy: Answer = (response) => response.writeHead(429, { 'retry-after': '0' }).end('wait');
    const down: Answer = (response) => response.writeHead(503).end();
    expect(await fetch([send({ cut: 70_000 }), busy, down, busy, send()])).toMatchObject({ ...whole, resumes: 1 });
    expect(new Set(requests.slice(1).map(({ range }) => range)).size).toBe(1);
    expect(await fetch([send({ cut: 70_000 }), busy])).toMatchObject({
      code: 'REGISTRY_ERROR',
      message: expect.stringContaining('no more'),
    });
  });

  test('without ranges when told so; four in a row that bring nothing are the end', async () => {
    expect(await fetch([send({ cut: 70_000 }), send()], data, false)).toMatchObject(whole);
    expect(requests.map(({ range }) => range)).toEqual([undefined, undefined]);
    expect(await fetch([send({ cut: 70_000 }), send({ cut: 0 })])).toMatchObject({ code: 'REGISTRY_UNREACHABLE', resumes: 4 });
  });

  test('an empty blob', async () => {
    const nothing = Buffer.alloc(0);
    expect(await fetch([send({ from: nothing })], nothing)).toMatchObject(whole);
  });
});

needs(noMkfs).describe('a pull', () => {
  test('pieces that do not belong together are fetched once more, as a whole', async () => {
    const home = mkdtempSync(join(tmpdir(), 'hypr-resume-'));
    const layer = gzipLayer(rawTar([file('big', randomBytes(200_000).toString('hex'))]));
    const target = sha256(layer.blob);
    let count = 0;
    // First a broken connection, then other bytes from there on, then the truth.
    const registry = await new FakeRegistry({
      interfere: ({ url }) => {
        count += url?.includes(target) ? 1 : 0;
        const wrong = Buffer.from(layer.blob).fill(0);
        return !url?.includes(target) || count > 2 ? undefined : count === 1 ? { breakAfter: 100_000 } : { replace: wrong };
      },
    }).start();
    try {
      registry.addImage('a/b', 'latest', [layer]);
      const tool = mkfsErofs as NonNullable<typeof mkfsErofs>;
      const images = await openImages({ paths: homePaths(home), toolchain: { mkfsErofs: tool }, env: { HOME: home }, backoff: 1 });
      const said: string[] = [];
      await images.pull([`${registry.host}/a/b`], { policy: 'always' }, ({ text }) => said.push(text));
      expect(said).toContain('Retrying');
      expect(await images.store.verify()).toEqual([]);
      expect(await readdir(join(home, 'images', 'tmp'))).toEqual([]);
      const asked = registry.requests.filter(({ url }) => url.includes(target)).map(({ headers }) => headers.range !== undefined);
      expect(asked).toEqual([false, true, false]);
    } finally {
      await registry.close();
      rmSync(home, { recursive: true, force: true });
    }
  });
});
