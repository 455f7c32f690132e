import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isOwnDescriptor, readNamedFile } from '../../../base/host/read-named.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-named-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const MIB = 2 ** 20;
const read = (path: string, more: { pipes?: boolean; signal?: AbortSignal } = {}) =>
  readNamedFile(path, { what: 'env file', maxBytes: MIB, ...more });
const fifo = (): string => {
  execFileSync('mkfifo', [join(dir, 'fifo')]);
  return join(dir, 'fifo');
};

describe('a file that somebody else has named', () => {
  it('is read whole, through links, up to its limit', async () => {
    const path = join(dir, 'file');
    for (const size of [0, 1, 65_536, 262_144, 262_145, MIB]) {
      writeFileSync(path, Buffer.alloc(size, 97));
      expect((await read(path)).equals(Buffer.alloc(size, 97))).toBe(true);
    }
    symlinkSync(path, join(dir, 'link'));
    expect(await read(join(dir, 'link'))).toHaveLength(MIB);
    expect((await read('/proc/self/status')).toString()).toContain('Name:');
    writeFileSync(path, Buffer.alloc(MIB + 1));
    await expect(read(path)).rejects.toMatchObject({ code: 'HYPR_FILE', message: `the env file ${path} is larger than 1 MiB` });
    truncateSync(path, 2 ** 40);
    await expect(read(path)).rejects.toMatchObject({ code: 'HYPR_FILE' });
  });

  it.each(['/dev/zero', '/dev/urandom', '/dev/full', '/dev/random'])('is not %s, which has no end', async (path) => {
    for (const pipes of [false, true]) {
      await expect(read(path, { pipes })).rejects.toMatchObject({ code: 'HYPR_FILE', message: expect.stringContaining('is a device') });
    }
  });

  it('may be /dev/null, which is empty', async () => {
    expect(await read('/dev/null')).toHaveLength(0);
  });

  it('is no pipe that nobody writes to: that is said at once', async () => {
    await expect(read(fifo())).rejects.toMatchObject({ code: 'HYPR_FILE', message: expect.stringContaining('is a pipe') });
  });

  it('is no socket, no folder', async () => {
    const server = createServer().listen(join(dir, 'sock'));
    await new Promise((resolve) => server.once('listening', resolve));
    await expect(read(join(dir, 'sock'))).rejects.toMatchObject({ code: 'HYPR_FILE' });
    await new Promise((resolve) => server.close(resolve));
    await expect(read(dir)).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(read(join(dir, 'gone'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('a pipe that the command line names', () => {
  it('is waited for, and read to its end', async () => {
    const path = fifo();
    const reading = read(path, { pipes: true });
    const writer = spawn('sh', ['-c', 'sleep 0.2; { printf A=1; sleep 0.1; echo; echo B=2; } > "$1"', 'sh', path], { stdio: 'ignore' });
    expect((await reading).toString()).toBe('A=1\nB=2\n');
    expect(writer.pid).toBeGreaterThan(0);
  });

  it('is given up when the command is, though nobody ever writes', async () => {
    const stop = new AbortController();
    const reading = read(fifo(), { pipes: true, signal: stop.signal });
    setTimeout(() => stop.abort(new Error('interrupted')), 50);
    await expect(reading).rejects.toThrow('interrupted');
  });

  it('is not read without end', async () => {
    const path = fifo();
    const writer = spawn('sh', ['-c', 'exec cat /dev/zero > "$1"', 'sh', path], { stdio: 'ignore' });
    await expect(read(path, { pipes: true })).rejects.toMatchObject({
      code: 'HYPR_FILE',
      message: expect.stringContaining('larger than 1 MiB'),
    });
    writer.kill('SIGKILL');
  });

  it('is told by its name where nothing else says who named it', () => {
    expect(['/dev/stdin', '/dev/fd/63', '/proc/self/fd/3'].every(isOwnDescriptor)).toBe(true);
    expect(['/dev/zero', 'dev/fd/63', '/dev/fd/../zero', '/dev/fd/63/x', '/tmp/fifo'].some(isOwnDescriptor)).toBe(false);
  });

  it('leaves no descriptor behind, whatever comes of it', async () => {
    const open = () => {
      const fd = openSync('/dev/null', 'r');
      closeSync(fd);
      return fd;
    };
    const before = open();
    for (const path of ['/dev/zero', dir, join(dir, 'gone'), '/dev/null', '/proc/self/status']) {
      await read(path).catch(() => {});
    }
    expect(open()).toBe(before);
  });
});
