import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Cleanup } from '../../base/cleanup.ts';
import { sleep, withDeadline } from '../../base/deadline.ts';
import { diskError, exists, writeFileAtomic } from '../../base/host/files.ts';
import { identifyProcess, isAlive, mustRun, runProgram, signalProcess } from '../../base/host/process.ts';
import { logger, logSeldom, logTo } from '../../base/log.ts';
import { homePaths, hyprHome, runtimeDir, shortHash, stackRuntimeDir } from '../../base/paths.ts';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-base-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('cleanup', () => {
  test('last in, first out, each once, waiting for each', async () => {
    const cleanup = new Cleanup();
    const done: number[] = [];
    for (const step of [1, 2, 3]) {
      cleanup.defer(async () => {
        await Promise.resolve();
        done.push(step);
      });
    }
    await cleanup.run();
    await cleanup.run();
    expect(done).toEqual([3, 2, 1]);
  });

  test('a step that fails does not stop the others; one error is itself, several come together', async () => {
    const cleanup = new Cleanup();
    const done: string[] = [];
    cleanup.defer(() => done.push('first'));
    cleanup.defer(() => Promise.reject(new Error('one')));
    await expect(cleanup.run()).rejects.toThrow('one');
    expect(done).toEqual(['first']);
    for (const name of ['a', 'b']) {
      cleanup.defer(() => {
        throw new Error(name);
      });
    }
    await expect(cleanup.run()).rejects.toMatchObject({ errors: [{ message: 'b' }, { message: 'a' }] });
  });

  test('disarmed it forgets; a step added by a step runs, too', async () => {
    const cleanup = new Cleanup();
    const done: string[] = [];
    cleanup.defer(() => done.push('forgotten'));
    cleanup.disarm();
    cleanup.defer(() => cleanup.defer(() => done.push('later')));
    await cleanup[Symbol.asyncDispose]();
    expect(done).toEqual(['later']);
  });
});

describe('deadlines', () => {
  afterEach(() => vi.useRealTimers());

  test('expiry names what did not come, and aborts the work', async () => {
    vi.useFakeTimers();
    let reason: unknown;
    const waiting = withDeadline({ ms: 1500, what: 'the answer' }, (signal) => {
      signal.addEventListener('abort', () => {
        reason = signal.reason;
      });
      return new Promise(() => {});
    });
    const failed = expect(waiting).rejects.toMatchObject({ code: 'HYPR_TIMEOUT', message: 'the answer did not come within 1.5 s' });
    await vi.advanceTimersByTimeAsync(1500);
    await failed;
    expect(reason).toMatchObject({ code: 'HYPR_TIMEOUT' });
  });

  test('the parent signal ends it with its own reason, also when it had aborted before', async () => {
    const controller = new AbortController();
    const waiting = withDeadline({ ms: 60_000, what: 'x', signal: controller.signal }, () => new Promise(() => {}));
    controller.abort(new Error('stop'));
    await expect(waiting).rejects.toThrow('stop');
    await expect(withDeadline({ ms: 60_000, what: 'x', signal: controller.signal }, () => new Promise(() => {}))).rejects.toThrow('stop');
  });

  test('work that is done leaves no timer and no listener, and a signal that tells stragglers', async () => {
    vi.useFakeTimers();
    const controller = new AbortController();
    let seen: AbortSignal | undefined;
    const removed = vi.spyOn(controller.signal, 'removeEventListener');
    expect(
      await withDeadline({ ms: 1000, what: 'x', signal: controller.signal }, async (signal) => {
        seen = signal;
        return 5;
      }),
    ).toBe(5);
    expect([vi.getTimerCount(), seen?.aborted, removed.mock.calls.length]).toEqual([0, true, 1]);
  });

  test('sleep ends with the reason', async () => {
    const controller = new AbortController();
    const waiting = sleep(60_000, controller.signal);
    controller.abort(new Error('up'));
    await expect(waiting).rejects.toThrow('up');
    await expect(sleep(60_000, controller.signal)).rejects.toThrow('up');
  });
});

describe('files', () => {
  test('written whole, private, in a private folder, no staging file left', async () => {
    const path = join(dir, 'deep', 'file');
    await writeFileAtomic(path, 'one');
    await writeFileAtomic(path, new Uint8Array([65]), 0o644);
    expect(readFileSync(path, 'utf8')).toBe('A');
    expect(statSync(path).mode & 0o777).toBe(0o644);
    expect(statSync(join(dir, 'deep')).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(dir, 'deep'))).toEqual(['file']);
  });

  test('a failure leaves the old file and no staging file', async () => {
    const path = join(dir, 'taken');
    mkdirSync(join(path, 'inside'), { recursive: true });
    await expect(writeFileAtomic(path, 'x')).rejects.toMatchObject({ code: 'EISDIR' });
    expect(readdirSync(dir).filter((name) => name.startsWith('taken.'))).toEqual([]);
  });

  test('exists', async () => {
    writeFileSync(join(dir, 'plain'), '');
    expect(await Promise.all(['plain', 'absent', 'plain/below'].map((name) => exists(join(dir, name))))).toEqual([true, false, false]);
  });

  test.each([
    ['ENOSPC', 'HYPR_DISK_FULL'],
    ['EDQUOT', 'HYPR_DISK_FULL'],
    ['EACCES', 'HYPR_PERMISSION'],
    ['EROFS', 'HYPR_PERMISSION'],
  ])('%s is %s and names the path', (code, expected) => {
    const cause = Object.assign(new Error(code), { code });
    expect(diskError(cause, '/data/x')).toMatchObject({ code: expected, message: expect.stringContaining('/data/x'), cause });
  });

  test('other errors stay what they are', () => {
    const error = new Error('x');
    expect(diskError(error, '/')).toBe(error);
  });
});

describe('processes', () => {
  test('a process is itself, and not a later one of its pid', async () => {
    const child = spawn('sleep', ['60']);
    await once(child, 'spawn');
    const identity = identifyProcess(child.pid ?? 0);
    expect(identity).toMatchObject({ pid: child.pid, startTime: expect.stringMatching(/^\d+$/) });
    if (identity === undefined) {
      return;
    }
    expect(isAlive(identity)).toBe(true);
    expect(isAlive({ ...identity, startTime: '1' })).toBe(false);
    expect(signalProcess({ ...identity, startTime: '1' }, 'SIGKILL')).toBe(false);
    expect(signalProcess(identity, 'SIGKILL')).toBe(true);
    await once(child, 'exit');
    expect([isAlive(identity), signalProcess(identity, 'SIGKILL'), identifyProcess(identity.pid)]).toEqual([false, false, undefined]);
  });

  test('a name with spaces and brackets does not shift the fields', async () => {
    const odd = join(dir, 'a ) 1 (b');
    symlinkSync('/bin/sleep', odd);
    const child = spawn(odd, ['60']);
    await once(child, 'spawn');
    expect(identifyProcess(child.pid ?? 0)?.startTime).toMatch(/^\d+$/);
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  test('output, exit code and input; a signal is 128 + its number', async () => {
    const chunks: string[] = [];
    const result = await runProgram('sh', ['-c', 'cat; echo err >&2; exit 3'], { input: 'fed', onOutput: (chunk) => chunks.push(chunk) });
    expect(result).toEqual({ code: 3, stdout: 'fed', stderr: 'err\n' });
    expect(chunks.join('')).toContain('fed');
    expect((await runProgram('sh', ['-c', 'kill -9 $$'])).code).toBe(137);
  });

  test('a program that reads no input is no error; one that is not there is', async () => {
    expect((await runProgram('true', [], { input: 'x'.repeat(1_000_000) })).code).toBe(0);
    await expect(runProgram(join(dir, 'absent'), [])).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('timeout kills, abort rejects', async () => {
    expect((await runProgram('sleep', ['60'], { timeout: 1 })).code).toBe(137);
    const controller = new AbortController();
    const running = runProgram('sleep', ['60'], { signal: controller.signal });
    controller.abort();
    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('mustRun tells the last lines', async () => {
    await expect(mustRun('sh', ['-c', 'seq 20; echo bad >&2; exit 1'])).rejects.toMatchObject({
      code: 'TOOLCHAIN_FAILED',
      message: 'sh ended with exit code 1',
      details: expect.arrayContaining(['20', 'bad']),
    });
  });
});

describe('paths', () => {
  test('home: HYPR_HOME, the seeds’ name, then ~/.hypr; one tree below it', () => {
    expect(hyprHome({ HYPR_HOME: '/h', HYPR_DATA_DIR: '/d' })).toBe('/h');
    expect(hyprHome({ HYPR_DATA_DIR: '/d' })).toBe('/d');
    expect(hyprHome({})).toMatch(/\/\.hypr$/);
    const paths = homePaths('/h');
    expect(paths.database).toBe('/h/hypr.db');
    expect(Object.values(paths).every((path) => path.startsWith('/h'))).toBe(true);
  });

  test('the runtime folder is private, and another one for another home', () => {
    const env = { HYPR_RUNTIME_DIR: join(dir, 'run'), HYPR_HOME: '/one' };
    const one = runtimeDir(env);
    expect(statSync(one).mode & 0o777).toBe(0o700);
    expect(runtimeDir({ ...env, HYPR_HOME: '/two' })).not.toBe(one);
    expect(runtimeDir({ XDG_RUNTIME_DIR: join(dir, 'xdg'), HYPR_HOME: '/one' })).toBe(join(dir, 'xdg', 'hypr', shortHash('/one', 6)));
  });

  test('a runtime folder that others may write to is refused, below a sticky one it is not', () => {
    const open = join(dir, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    expect(() => runtimeDir({ HYPR_RUNTIME_DIR: open })).toThrow('another user owns it or may write to it');
    chmodSync(open, 0o1777);
    const own = runtimeDir({ HYPR_RUNTIME_DIR: open });
    chmodSync(own, 0o777);
    expect(() => runtimeDir({ HYPR_RUNTIME_DIR: open })).toThrow('another user owns it or may write to it');
  });

  test('the folder of a stack stays short', () => {
    const env = { HYPR_RUNTIME_DIR: join(dir, 'run') };
    expect(stackRuntimeDir('shop', env)).toBe(join(runtimeDir(env), 'shop'));
    const names = ['a', 'b'].map((end) => stackRuntimeDir(`${'x'.repeat(60)}${end}`, env).slice(runtimeDir(env).length + 1));
    expect(names.map((name) => name.length)).toEqual([20, 20]);
    expect(names[0]).not.toBe(names[1]);
  });
});

describe('log', () => {
  afterEach(() => vi.unstubAllEnvs());

  test('of a command: only its warnings, at once, in a file that is begun anew at a megabyte; no home is made for it', () => {
    const home = join(dir, 'home');
    const path = join(home, 'logs', 'commands.log');
    logSeldom(() => path);
    logger('build').warn('nowhere to go');
    expect(existsSync(home)).toBe(false);
    mkdirSync(home);
    logger('build').info('not this');
    logger('build').warn('this');
    const read = () => readFileSync(path, 'utf8').trim().split('\n');
    expect(read().map((line) => JSON.parse(line))).toMatchObject([{ level: 'warn', pid: process.pid, message: 'this' }]);
    appendFileSync(path, ' '.repeat(1 << 20));
    logger('build').warn('after it');
    expect(read()).toHaveLength(1);
    expect(statSync(`${path}.1`).size).toBeGreaterThan(1 << 20);
    vi.stubEnv('HYPR_LOG', 'info');
    logger('build').info('asked for');
    expect(read()).toHaveLength(2);
  });

  test('a line of JSON for each message at or above the level of its module', async () => {
    vi.stubEnv('HYPR_LOG', 'warn|hypr:net=debug');
    const path = join(dir, 'log');
    logTo(path);
    logger('engine').info('not this');
    logger('engine').warn('this', { replica: 'a' });
    logger('net').debug('and this');
    logTo(join(dir, 'other'));
    await vi.waitFor(() => expect(readFileSync(path, 'utf8').trim().split('\n')).toHaveLength(2), { interval: 2 });
    const lines = readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, string>);
    expect(lines).toMatchObject([
      { level: 'warn', module: 'engine', message: 'this', replica: 'a' },
      { level: 'debug', module: 'net', message: 'and this' },
    ]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });
});
