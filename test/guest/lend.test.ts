import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { mustRun } from '../../base/host/process.ts';
import { randomNumbers, SEED, times } from '../support/seed.ts';
import { FUSE, FuseClient, request, text, u } from './support-fuse.ts';

// The part of the agent that answers for a lent volume, under the sanitizers, asked by a machine that would leave the volume.

const AGENT = fileURLToPath(new URL('../../guest/agent/', import.meta.url));
const SERVER = fileURLToPath(new URL('serve_folder.c', import.meta.url));
const PARTS = ['attributes', 'call', 'entry', 'files', 'locks', 'names', 'nodes', 'owner', 'serve'].map((name) => `share/${name}.c`);
const OTHERS = ['fs/rooted.c', 'lib/failure.c'];
const { EBADF, EINVAL, ENOTDIR, EPERM, EAGAIN, EINTR, ESTALE, ENXIO, EROFS, ENOSYS } = { ...constants.errno, ENXIO: 6, ENOSYS: 38 };

let dir: string;
const program = () => join(dir, 'serve');
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-lend-'));
  const sources = [SERVER, ...[...PARTS, ...OTHERS].map((name) => join(AGENT, name))];
  const flags = [
    '-std=gnu11',
    '-D_GNU_SOURCE',
    '-DKESTREL_HOST_TEST',
    '-g',
    '-O1',
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=all',
  ];
  await mustRun('gcc', [...flags, '-I', AGENT, ...sources, '-o', program()]);
}, 60_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A served folder with a file, a folder, a link that leads out and a pipe; beside it a secret. */
const open = async (options: { readOnly?: boolean } = {}) => {
  const base = mkdtempSync(join(dir, 't-'));
  const folder = join(base, '_data');
  mkdirSync(join(folder, 'sub'), { recursive: true });
  writeFileSync(join(base, 'secret'), 'of the host', { mode: 0o600 });
  writeFileSync(join(folder, 'file'), 'content');
  symlinkSync('..', join(folder, 'up'));
  symlinkSync(join(base, 'secret'), join(folder, 'out'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  const client = new FuseClient(program(), folder, options);
  onTestFinished(async () => {
    await client.close();
  });
  expect((await client.ask(FUSE.init, 1n, u(7, 41, 65_536, 0xffff_ffff))).error).toBe(0);
  return { client, base, folder };
};

const OPEN_READ = u(0, 0);
const openNode = async (client: FuseClient, node: bigint, flags = 0): Promise<bigint> => {
  const { error, body } = await client.ask(FUSE.open, node, u(flags, 0));
  expect(error).toBe(0);
  return body.readBigUInt64LE(0);
};

describe('a lent volume', () => {
  it('is read, written, listed and changed', async () => {
    const { client, folder } = await open();
    const file = await client.find('file');
    const fh = await openNode(client, file, 2);
    expect((await client.ask(FUSE.read, file, u(fh, 0n, 100, 0, 0n, 0, 0))).body.toString()).toBe('content');
    const written = await client.ask(FUSE.write, file, Buffer.concat([u(fh, 7n, 4, 0, 0n, 0, 0), Buffer.from(' and')]));
    expect(written.body.readUInt32LE(0)).toBe(4);
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('content and');
    // With O_APPEND the end of the file counts, which only this side knows.
    await client.ask(FUSE.write, file, Buffer.concat([u(fh, 0n, 5, 0, 0n, 0o2000, 0), Buffer.from(' more')]));
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('content and more');
    expect((await client.ask(FUSE.release, file, u(fh, 0, 0, 0n))).error).toBe(0);
    expect((await client.ask(FUSE.read, file, u(fh, 0n, 1, 0, 0n, 0, 0))).error).toBe(EBADF);
    const list = (await client.ask(FUSE.opendir, 1n, OPEN_READ)).body.readBigUInt64LE(0);
    const names = (await client.ask(FUSE.readdir, 1n, u(list, 0n, 4096, 0, 0n, 0, 0))).body.toString('latin1');
    expect(['file', 'sub', 'up', 'out', 'pipe'].every((name) => names.includes(name))).toBe(true);
    expect((await client.ask(FUSE.mkdir, 1n, Buffer.concat([u(0o755, 0), text('made')]))).error).toBe(0);
    expect((await client.ask(FUSE.rename, 1n, Buffer.concat([u(await client.find('made')), text('file', 'moved')]))).error).toBe(0);
    expect(readdirSync(join(folder, 'made'))).toEqual(['moved']);
  });

  it('that is lent read-only is read, and the kernel refuses every change, whoever asks for it', async () => {
    const { client, folder } = await open({ readOnly: true });
    const file = await client.find('file');
    const fh = await openNode(client, file);
    expect((await client.ask(FUSE.read, file, u(fh, 0n, 100, 0, 0n, 0, 0))).body.toString()).toBe('content');
    const setattr = (valid: number) => u(valid, 0, fh, 0n, 0n, 1n, 1n, 0n, 0, 0, 0, 0o777, 0, 0, 0, 0);
    const refused = [
      [FUSE.open, file, u(2, 0)],
      [FUSE.open, file, u(1, 0)],
      [FUSE.create, 1n, Buffer.concat([u(2, 0o644, 0, 0), text('new')])],
      [FUSE.create, 1n, Buffer.concat([u(2, 0o644, 0, 0), text('file')])],
      [FUSE.mkdir, 1n, Buffer.concat([u(0o755, 0), text('new')])],
      [FUSE.mknod, 1n, Buffer.concat([u(0o100644, 0, 0, 0), text('new')])],
      [FUSE.symlink, 1n, text('new', 'target')],
      [FUSE.link, 1n, Buffer.concat([u(file), text('new')])],
      [FUSE.rename, 1n, Buffer.concat([u(1n), text('file', 'new')])],
      [FUSE.unlink, 1n, text('file')],
      [11, 1n, text('sub')],
      [21, file, Buffer.concat([u(3, 0), text('user.x'), Buffer.from('abc')])],
      [24, file, text('user.x')],
      // Mode, owner, size and times.
      ...[1, 2, 8, 0x30].map((valid) => [FUSE.setattr, file, setattr(valid)] as const),
    ] as const;
    for (const [opcode, node, body] of refused) {
      expect({ opcode, error: (await client.ask(opcode, node, body)).error }).toEqual({ opcode, error: EROFS });
    }
    // What is open is open for reading.
    expect((await client.ask(FUSE.write, file, Buffer.concat([u(fh, 0n, 3, 0, 0n, 0, 0), Buffer.from('new')]))).error).toBe(EBADF);
    expect((await client.ask(FUSE.setattr, file, setattr(8 | 64))).error).not.toBe(0);
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('content');
    expect(readdirSync(folder).sort()).toEqual(['file', 'out', 'pipe', 'sub', 'up']);
    expect(await client.close()).toBe(0);
  });

  it('takes no name that is a path, in any request', async () => {
    const { client } = await open();
    for (const name of ['..', '.', '', 'sub/..', '../secret', '/etc/passwd', 'x'.repeat(256)]) {
      const asked = [
        [FUSE.lookup, text(name)],
        [FUSE.unlink, text(name)],
        [FUSE.mkdir, Buffer.concat([u(0o755, 0), text(name)])],
        [FUSE.mknod, Buffer.concat([u(0o100644, 0, 0, 0), text(name)])],
        [FUSE.symlink, text(name, 'target')],
        [FUSE.rename, Buffer.concat([u(1n), text('file', name)])],
        [FUSE.rename, Buffer.concat([u(1n), text(name, 'file')])],
        [FUSE.link, Buffer.concat([u(1n), text(name)])],
        [FUSE.create, Buffer.concat([u(2, 0o644, 0, 0), text(name)])],
      ] as const;
      for (const [opcode, body] of asked) {
        expect({ name, opcode, error: (await client.ask(opcode, 1n, body)).error }).toEqual({ name, opcode, error: EINVAL });
      }
    }
    // A name without an end.
    expect((await client.ask(FUSE.lookup, 1n, Buffer.from('file'))).error).toBe(EINVAL);
  });

  it('follows no link: it is read, not gone through, opened, cut or changed in what it leads to', async () => {
    const { client, base } = await open();
    const [up, out] = [await client.find('up'), await client.find('out')];
    expect((await client.ask(FUSE.lookup, up, text('secret'))).error).toBe(ENOTDIR);
    expect((await client.ask(FUSE.open, out, OPEN_READ)).error).toBe(ENXIO);
    expect((await client.ask(FUSE.readlink, out)).body.toString()).toBe(join(base, 'secret'));
    expect((await client.ask(FUSE.create, 1n, Buffer.concat([u(2, 0o644, 0, 0), text('out')]))).error).not.toBe(0);
    const size = u(1 << 3, 0, 0n, 0n, 0n, 0n, 0n, 0n, 0, 0, 0, 0, 0, 0, 0, 0);
    const mode = u(1, 0, 0n, 0n, 0n, 0n, 0n, 0n, 0, 0, 0, 0o777, 0, 0, 0, 0);
    await client.ask(FUSE.setattr, out, size);
    await client.ask(FUSE.setattr, out, mode);
    expect(readFileSync(join(base, 'secret'), 'utf8')).toBe('of the host');
    expect(statSync(join(base, 'secret')).mode & 0o777).toBe(0o600);
  });

  it('opens no pipe, makes no device, knows no number that it did not give and no request that it does not have', async () => {
    const { client } = await open();
    expect((await client.ask(FUSE.open, await client.find('pipe'), OPEN_READ)).error).toBe(ENXIO);
    expect((await client.ask(FUSE.mknod, 1n, Buffer.concat([u(0o60666, 0x100, 0, 0), text('disk')]))).error).toBe(EPERM);
    expect((await client.ask(FUSE.getattr, 0xdead_beefn, u(0, 0, 0n))).error).toBe(ESTALE);
    expect((await client.ask(FUSE.read, 1n, u(77n, 0n, 1, 0, 0n, 0, 0))).error).toBe(EBADF);
    expect((await client.ask(4095, 1n)).error).toBe(ENOSYS);
  });

  it('takes no more and gives no more than a request may have', async () => {
    const { client } = await open();
    const file = await client.find('file');
    const fh = await openNode(client, file, 2);
    expect((await client.ask(FUSE.read, file, u(fh, 0n, 0x7fff_ffff, 0, 0n, 0, 0))).error).toBe(EINVAL);
    expect((await client.ask(FUSE.write, file, Buffer.concat([u(fh, 0n, 5000, 0, 0n, 0, 0), Buffer.from('short')]))).error).toBe(EINVAL);
    expect((await client.ask(FUSE.getxattr, file, Buffer.concat([u(0xffff_ffff, 0), text('user.x')]))).error).toBe(EINVAL);
    expect((await client.ask(FUSE.setattr, file, u(1))).error).toBe(EINVAL);
  });

  it('locks exclude each other; one that waits is answered when it can be had, or interrupted', async () => {
    const { client } = await open();
    const file = await client.find('file');
    const [one, two] = [await openNode(client, file, 2), await openNode(client, file, 2)];
    const flock = (fh: bigint, type: number) => u(fh, 1n, 0n, 0x7fff_ffff_ffff_ffffn, type, 0, 1, 0);
    const posix = (owner: bigint, type: number) => u(one, owner, 0n, 9n, type, 0, 0, 0);
    expect((await client.ask(FUSE.setlk, file, flock(one, 1))).error).toBe(0);
    expect((await client.ask(FUSE.setlk, file, flock(two, 1))).error).toBe(EAGAIN);
    expect((await client.ask(FUSE.setlk, file, posix(5n, 1))).error).toBe(0);
    expect((await client.ask(FUSE.setlk, file, posix(6n, 0))).error).toBe(EAGAIN);
    client.child.stdin.write(request(33, 1001, file, flock(two, 1)));
    client.child.stdin.write(request(33, 1003, file, posix(6n, 1)));
    client.child.stdin.write(request(FUSE.interrupt, 0, 0n, u(1003n)));
    expect((await client.next())?.error).toBe(EINTR);
    expect((await client.ask(FUSE.setlk, file, flock(one, 2))).error).toBe(0);
    expect((await client.next())?.error).toBe(0);
  });

  it('a lock is free when nobody of the borrower has the file open, told of its owner or not', async () => {
    const { client, folder } = await open();
    const file = await client.find('file');
    const [one, two] = [await openNode(client, file, 2), await openNode(client, file, 2)];
    expect((await client.ask(FUSE.setlk, file, u(one, 5n, 0n, 9n, 1, 0, 0, 0))).error).toBe(0);
    const other = new FuseClient(program(), folder);
    onTestFinished(async () => {
      await other.close();
    });
    const same = await other.find('file');
    const theirs = await openNode(other, same, 2);
    const lock = async (): Promise<number> => (await other.ask(FUSE.setlk, same, u(theirs, 6n, 0n, 9n, 1, 0, 0, 0))).error;
    expect(await lock()).toBe(EAGAIN);
    await client.ask(FUSE.release, file, u(one, 0, 0, 0n));
    expect(await lock()).toBe(EAGAIN);
    await client.ask(FUSE.release, file, u(two, 0, 0, 0n));
    expect(await lock()).toBe(0);
  });

  it('ends at a message that is none, and says so', async () => {
    for (const bad of [request(FUSE.getattr, 2, 1n, u(0, 0, 0n), 0x7fff_ffff), request(FUSE.getattr, 2, 1n, u(0, 0, 0n), 8)]) {
      const { client } = await open();
      client.child.stdin.write(bad);
      expect(await client.exit).toBe(1);
      expect(client.stderr).toContain('does not speak its protocol');
    }
  });

  it(`survives mutated requests, and nothing outside changes (HYPR_TEST_SEED=${SEED})`, async () => {
    const next = randomNumbers(SEED);
    const random = (below: number): number => Math.floor(next() * below);
    const { client, base } = await open();
    const file = await client.find('file');
    const fh = await openNode(client, file, 2);
    const seeds: Array<[number, bigint, Buffer]> = [
      [FUSE.lookup, 1n, text('file')],
      [FUSE.getattr, file, u(0, 0, 0n)],
      [FUSE.setattr, file, u(0x1f8, 0, fh, 3n, 0n, 1n, 2n, 3n, 0, 0, 0, 0o644, 0, 0, 0, 0)],
      [FUSE.create, 1n, Buffer.concat([u(0x242, 0o644, 0, 0), text('new')])],
      [FUSE.rename, 1n, Buffer.concat([u(1n), text('new', 'newer')])],
      [45, 1n, Buffer.concat([u(1n, 1, 0), text('newer', 'new')])],
      [FUSE.read, file, u(fh, 0n, 100, 0, 0n, 0, 0)],
      [FUSE.write, file, Buffer.concat([u(fh, 0n, 5, 4, 0n, 0, 0), Buffer.from('hello')])],
      [FUSE.readdir, 1n, u(fh, 0n, 4096, 0, 0n, 0, 0)],
      [21, file, Buffer.concat([u(3, 0), text('user.x'), Buffer.from('abc')])],
      [FUSE.getxattr, file, Buffer.concat([u(100, 0), text('user.x')])],
      [FUSE.setlk, file, u(fh, 1n, 0n, 10n, 1, 0, 0, 0)],
      [31, file, u(fh, 2n, 0n, 10n, 1, 0, 0, 0)],
      [46, file, u(fh, 0n, 3, 0)],
      [20, file, u(fh, 0, 0)],
      [17, 1n, Buffer.alloc(0)],
    ];
    for (let round = 0; round < times(1500); round++) {
      const [opcode, node, body] = seeds[random(seeds.length)] as (typeof seeds)[number];
      const mutated = Buffer.from(body);
      for (let i = random(4); i > 0 && mutated.length > 0; i--) {
        mutated[random(mutated.length)] = [0, 0xff, 0x2e, 0x2f, random(256)][random(5)] as number;
      }
      await client.ask(
        opcode,
        random(8) === 0 ? BigInt(random(2 ** 31)) : node,
        mutated.subarray(0, mutated.length - random(3) * random(2)),
      );
    }
    expect(readFileSync(join(base, 'secret'), 'utf8')).toBe('of the host');
    expect(readdirSync(base).sort()).toEqual(['_data', 'secret']);
    expect(await client.close()).toBe(0);
    expect(client.stderr).toBe('');
  });
});
