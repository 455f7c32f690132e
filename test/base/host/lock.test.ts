import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { findDeadLocks, sweepLocks, withLock } from '../../../base/host/lock.ts';
import { identifyProcess } from '../../../base/host/process.ts';

let dir = '';
let path = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-lock-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));
beforeEach(() => {
  rmSync(join(dir, 'locks'), { recursive: true, force: true });
  path = join(dir, 'locks', 'thing.lock');
});

const what = 'the thing';
const deadPid = 2 ** 22 - 1;
const asFile = (text: string) => writeFileSync(path, text);
const asLink = (text: string) => symlinkSync(text, path);

describe('in one process', () => {
  test('one at a time, each in its turn; nothing is left', async () => {
    let inside = 0;
    let most = 0;
    const work = async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside -= 1;
      return 'done';
    };
    const results = await Promise.all([1, 2, 3].map(() => withLock(path, { what }, work)));
    expect([results, most]).toEqual([['done', 'done', 'done'], 1]);
    expect(readdirSync(join(dir, 'locks'))).toEqual([]);
  });

  test('what fails inside lets go', async () => {
    await expect(withLock(path, { what }, () => Promise.reject(new Error('inside')))).rejects.toThrow('inside');
    expect(await withLock(path, { what, timeout: 0 }, async () => 1)).toBe(1);
  });

  test('timeout 0 fails at once and names the holder, who is told of once', async () => {
    await withLock(path, { what }, async () => {
      const told: number[] = [];
      await expect(withLock(path, { what, timeout: 0, onWait: (holder) => told.push(holder.pid) }, async () => {})).rejects.toMatchObject({
        code: 'HYPR_LOCKED',
        message: `another hypr process (pid ${process.pid}) is busy with the thing`,
      });
      expect(told).toEqual([process.pid]);
    });
    expect(readdirSync(join(dir, 'locks'))).toEqual([]);
  });

  test('waiting ends with the signal', async () => {
    await withLock(path, { what }, async () => {
      const controller = new AbortController();
      const waiting = withLock(
        path,
        { what, signal: controller.signal, onWait: () => controller.abort(new Error('enough')) },
        async () => {},
      );
      await expect(waiting).rejects.toThrow('enough');
    });
    expect(readdirSync(join(dir, 'locks'))).toEqual([]);
  });

  test.each([
    ['that is dead', `${deadPid} 1 x`, asLink],
    ['whose pid is somebody else’s now', `${process.pid} 1 x`, asLink],
    ['that makes no sense', 'nonsense', asLink],
    ['of an older hypr that is dead', JSON.stringify({ pid: deadPid, startTime: '1' }), asFile],
    ['that a power cut emptied', '', asFile],
    ['that is torn', '{"pid":1', asFile],
  ])('a holder %s is taken over from, by one waiter at a time', async (_, text, write) => {
    await withLock(path, { what }, async () => {});
    write(text);
    let inside = 0;
    const results = await Promise.all(
      [1, 2, 3].map(() =>
        withLock(path, { what }, async () => {
          inside += 1;
          const alone = inside === 1;
          await new Promise((resolve) => setImmediate(resolve));
          inside -= 1;
          return alone;
        }),
      ),
    );
    expect(results).toEqual([true, true, true]);
    expect(readdirSync(join(dir, 'locks'))).toEqual([]);
  });
});

test('locks of the dead are found and swept, those of the living stay', async () => {
  await withLock(path, { what }, async () => {
    const dead = join(dir, 'locks', 'dead.lock');
    symlinkSync(`${deadPid} 1 x`, dead);
    expect(await findDeadLocks(join(dir, 'locks'))).toEqual([{ path: dead, pid: deadPid }]);
    await sweepLocks(join(dir, 'locks'));
    expect(readdirSync(join(dir, 'locks'))).toEqual(['thing.lock']);
  });
  await sweepLocks(join(dir, 'nowhere'));
});

describe('between processes', () => {
  let script = '';
  beforeAll(async () => {
    script = join(dir, 'holder.mjs');
    const entry = join(import.meta.dirname, '../../../base/host/lock.ts');
    await build({
      stdin: {
        contents: `import { withLock } from ${JSON.stringify(entry)};
          process.stdin.resume();
          await withLock(process.argv[2], { what: 'it', onWait: () => console.log('waiting') }, async () => {
            console.log('in');
            await new Promise((resolve) => process.stdin.once('data', resolve));
            console.log('out');
          });
          process.exit(0);`,
        resolveDir: dir,
        loader: 'js',
      },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: script,
      logLevel: 'error',
    });
  });

  const startHolder = (): { child: ChildProcess; line: () => Promise<string> } => {
    const child = spawn(process.execPath, [script, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
    return { child, line: async () => (await lines.next()).value as string };
  };

  test('the second waits for the first', async () => {
    const first = startHolder();
    expect(await first.line()).toBe('in');
    const { pid, startTime } = identifyProcess(first.child.pid ?? 0) ?? {};
    expect(readlinkSync(path)).toMatch(`${pid} ${startTime} `);
    const second = startHolder();
    expect(await second.line()).toBe('waiting');
    first.child.stdin?.write('go\n');
    expect(await first.line()).toBe('out');
    expect(await second.line()).toBe('in');
    second.child.stdin?.write('go\n');
    await once(second.child, 'exit');
  });

  test('a holder that was killed is taken over from', async () => {
    const first = startHolder();
    expect(await first.line()).toBe('in');
    const second = startHolder();
    expect(await second.line()).toBe('waiting');
    first.child.kill('SIGKILL');
    expect(await second.line()).toBe('in');
    second.child.stdin?.write('go\n');
    await once(second.child, 'exit');
  });
});
