import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PLAIN_FILE } from '../../../base/tar/header.ts';
import { pruneBuildCache } from '../../../builder/build.ts';
import { SingleFileTree } from '../../../builder/solver/layer/single-file-tree.ts';
import { writeLayer } from '../../../builder/solver/layer/tar-write.ts';
import { downloadUrl } from '../../../builder/solver/sources/download.ts';
import { collect } from './fake-machines.ts';
import { show, thrown, Workshop } from './workshop.ts';

let shop: Workshop;
let server: Server;
let base: string;
/** What `/f` answers. */
let body: string | Buffer;
let requests: IncomingMessage[];
/** `/slow` answers when this resolves. */
let gate: PromiseWithResolvers<void>;
let slowStatus: number;

beforeEach(async () => {
  shop = new Workshop();
  requests = [];
  slowStatus = 200;
  gate = Promise.withResolvers();
  server = createServer(async (request, response) => {
    requests.push(request);
    if (request.url === '/slow') {
      await gate.promise;
    }
    const text = request.url === '/slow' ? 'slow' : body;
    const etag = `"${createHash('sha256').update(text).digest('hex')}"`;
    const fresh = request.headers['if-none-match'] === etag;
    response.writeHead(fresh ? 304 : request.url === '/slow' ? slowStatus : 200, { etag }).end(fresh ? '' : text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  shop.close();
  await new Promise((resolve) => server.close(resolve));
});

const sum = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');
const buildFolder = () => join(shop.folder, 'build');
const fetchFile = (checksum?: string) =>
  downloadUrl(`${base}/f`, { buildFolder: buildFolder(), signal: AbortSignal.timeout(60_000), secrets: {}, checksum });
/** URLs whose files are kept. */
const kept = () => listNames('downloads').filter((name) => name.endsWith('.json'));
const inStaging = () => listNames('tmp');
const listNames = (folder: string) => (existsSync(join(buildFolder(), folder)) ? readdirSync(join(buildFolder(), folder)) : []);

/** Longer than GOOD: where GOOD's block ends, it goes on with an entry of a tar. */
const evil = async (): Promise<Buffer> => {
  const su = await collect(
    writeLayer([{ path: 'usr/bin/su', attributes: { ...PLAIN_FILE, mode: 0o4755, size: 4 }, content: { bytes: Buffer.from('pwn!') } }]),
  );
  return Buffer.concat([Buffer.from('EVIL'), Buffer.alloc(508), su]);
};

describe('a download', () => {
  it('stays what a step has checked when another build fetches a newer file of the same URL', async () => {
    const file = `FROM scratch\nADD ${base}/f ${base}/slow /d/\n`;
    body = 'GOOD';
    const first = shop.build(file);
    await expect.poll(kept).toHaveLength(1);
    body = await evil();
    await shop.run(`FROM scratch\nADD ${base}/f /x\n`);
    gate.resolve();
    expect(await show((await first).tree)).toEqual({ 'd/f': 'GOOD', 'd/slow': 'slow' });
    body = 'GOOD';
    expect(await show((await shop.build(file)).tree)).toEqual({ 'd/f': 'GOOD', 'd/slow': 'slow' });
    expect(inStaging()).toEqual([]);
  });

  it('is refused by its checksum before it takes the place of what is kept', async () => {
    body = 'GOOD';
    const first = await fetchFile(`sha256:${sum('GOOD')}`);
    body = 'EVIL';
    await expect(fetchFile(`sha256:${sum('GOOD')}`)).rejects.toThrow('digest mismatch');
    body = 'GOOD';
    const again = await fetchFile();
    expect(requests.at(-1)?.headers['if-none-match']).toBe(`"${sum('GOOD')}"`);
    expect([readFileSync(first.file, 'utf8'), readFileSync(again.file, 'utf8')]).toEqual(['GOOD', 'GOOD']);
    await Promise.all([first.release(), again.release()]);
    expect(inStaging()).toEqual([]);
  });

  it('is read by a build that prune runs beside, and fetched again after it', async () => {
    body = 'GOOD';
    const { file, release } = await fetchFile();
    await pruneBuildCache(buildFolder(), 0);
    expect(readFileSync(file, 'utf8')).toBe('GOOD');
    await release();
    const again = await fetchFile();
    expect(requests.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, undefined]);
    await again.release();
  });

  it('is kept by prune while it is used, however long ago it was fetched', async () => {
    body = 'GOOD';
    await (await fetchFile()).release();
    const files = [...readdirSync(join(buildFolder(), 'downloads'), { recursive: true, withFileTypes: true })].filter((one) =>
      one.isFile(),
    );
    for (const { parentPath, name } of files) {
      utimesSync(join(parentPath, name), 1, 1);
    }
    await (await fetchFile()).release();
    expect(await pruneBuildCache(buildFolder(), 3_600_000)).toBe(0);
    expect(files.filter(({ parentPath, name }) => existsSync(join(parentPath, name)))).toHaveLength(2);
  });

  it('is fetched again where an earlier version kept it, or what is kept is damaged', async () => {
    body = 'GOOD';
    const folder = join(buildFolder(), 'downloads');
    mkdirSync(folder, { recursive: true });
    const old = join(folder, sum(`${base}/f`));
    writeFileSync(`${old}.data`, 'GOOD');
    writeFileSync(`${old}.json`, JSON.stringify({ digest: sum('GOOD'), size: 4, mtime: 0, etag: `"${sum('GOOD')}"` }));
    const fetched = await fetchFile();
    await fetched.release();
    writeFileSync(join(folder, 'data', sum('GOOD')), 'BAD!');
    const again = await fetchFile();
    expect(readFileSync(again.file, 'utf8')).toBe('GOOD');
    await again.release();
    expect(requests.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, undefined]);
    await (await fetchFile()).release();
    expect(requests.at(-1)?.headers['if-none-match']).toBe(`"${sum('GOOD')}"`);
    expect(inStaging()).toEqual([]);
  });

  it('that is not what was checked fails the step', async () => {
    const file = join(shop.folder, 'f');
    writeFileSync(file, 'EVIL');
    const tree = new SingleFileTree({ name: 'f', file, digest: sum('GOOD'), size: 4, mode: 0o600, mtime: 0 });
    await expect(collect(tree.read())).rejects.toMatchObject({ code: 'BUILD_FAILED' });
  });

  it('leaves nothing when another of its step fails', async () => {
    body = 'GOOD';
    slowStatus = 404;
    const failed = thrown(shop.run(`FROM scratch\nADD ${base}/f ${base}/slow /d/\n`));
    await expect.poll(kept).toHaveLength(1);
    gate.resolve();
    expect((await failed).message).toContain('status 404');
    expect(inStaging()).toEqual([]);
  });

  it('as a context stays what it was, and goes with the build', async () => {
    body = 'FROM scratch\nCOPY <<EOF /f\ntext\nEOF\n';
    const { tree } = await shop.build('', { context: `${base}/f`, dockerfile: { path: 'Dockerfile' } });
    expect(await show(tree)).toEqual({ f: 'text\n' });
    rmSync(join(buildFolder(), 'downloads'), { recursive: true });
    expect(inStaging()).toEqual([]);
  });
});
