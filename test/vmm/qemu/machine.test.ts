import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { sleep } from '../../../base/deadline.ts';
import { HyprError } from '../../../base/errors.ts';
import { exists } from '../../../base/host/files.ts';
import { identifyProcess, isAlive } from '../../../base/host/process.ts';
import type { MachineRecord } from '../../../vmm/model/machine.ts';
import { QemuMachine } from '../../../vmm/qemu/machine.ts';
import type { Qmp, QmpEvent } from '../../../vmm/qemu/qmp.ts';
import { spec, tempDir } from '../support.ts';

/** A process in QEMU's place, and its monitor in the hands of the test. */
const makeMachine = async (status = 'running', daemons: readonly ChildProcess[] = []) => {
  const dir = tempDir();
  const runDir = join(dir, 'm');
  await mkdir(runDir);
  await writeFile(join(dir, 'console'), 'last words\n');
  const child: ChildProcess = spawn('sleep', ['60']);
  onTestFinished(() => void child.kill('SIGKILL'));
  const process = identifyProcess(child.pid ?? 0);
  if (process === undefined) {
    throw new Error('no sleep');
  }
  const nics = [{ id: 'n0', mac: '02:00:00:00:00:01', mtu: 1500 }];
  const record: MachineRecord = {
    backend: 'qemu-tcg',
    spec: spec({ runDir, consoleLog: join(dir, 'console'), nics }),
    process,
    helpers: daemons.flatMap(({ pid }) => identifyProcess(pid ?? 0) ?? []),
    agentSocket: '',
    layout: 'cold',
    programs: '',
    controlSocket: '',
  };
  let listener: (event: QmpEvent) => void = () => {};
  let close: () => void = () => {};
  const said: string[] = [];
  const failing = new Set<string>();
  const held = new Map<string, Promise<void>>();
  /** What is asked gets no answer until the function is called. */
  const hold = (command: string) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    held.set(command, promise);
    return resolve;
  };
  const unknown = new Set<string>();
  const qmp = {
    run: async (command: string, args?: { up?: boolean }) => {
      said.push(args?.up === undefined ? command : `${command} ${args.up ? 'up' : 'down'}`);
      await held.get(command);
      if (failing.has(command)) {
        throw new Error(`no ${command}`);
      }
      if (unknown.has(command)) {
        throw new HyprError('HYPR_INTERNAL', 'no such device', { reason: 'DeviceNotFound' });
      }
      return { status, running: true };
    },
    onEvent: (heard: (event: QmpEvent) => void) => {
      listener = heard;
    },
    closed: new Promise<void>((resolve) => {
      close = resolve;
    }),
    close: () => close(),
  } as Qmp;
  const machine = new QemuMachine(record, qmp, { child, daemons, freePorts: [], launcher: '/none' });
  const shutDown = (reason: string) => listener({ event: 'SHUTDOWN', data: { reason } });
  const end = (reason: string) => {
    shutDown(reason);
    child.kill('SIGKILL');
    close();
  };
  child.once('exit', () => close());
  const say = (event: string) => listener({ event, data: {} });
  return { machine, child, said, hold, failing, unknown, shutDown, end, say, close: () => close() };
};

describe('the end of a machine', () => {
  it('is off when the guest powered off', async () => {
    const { machine, end } = await makeMachine();
    end('guest-shutdown');
    expect(await machine.exited).toEqual({ reason: 'off', lastLines: [] });
  });

  it('is a crash in plain words when its kernel panicked', async () => {
    const { machine, end } = await makeMachine();
    end('guest-reset');
    expect(await machine.exited).toEqual({
      reason: 'crashed',
      detail: 'the guest restarted itself, or its kernel panicked',
      lastLines: ['last words'],
    });
  });

  it('is ours when we killed it', async () => {
    const { machine } = await makeMachine();
    expect(await machine.kill()).toEqual({ reason: 'killed', lastLines: [] });
    await machine.delete();
    expect(await exists(machine.record.spec.runDir)).toBe(false);
  });

  it('comes at once when the process that serves a shared folder does, which is our child', async () => {
    const daemon = spawn('sleep', ['60']);
    const { machine } = await makeMachine('running', [daemon]);
    daemon.kill('SIGKILL');
    expect(await machine.exited).toMatchObject({ reason: 'crashed', detail: expect.stringContaining('(virtiofsd) ended') });
  });

  it('is that of QEMU when the kernel kills it, and that process ends with it', async () => {
    const daemon = spawn('sleep', ['60']);
    const { machine, child } = await makeMachine('running', [daemon]);
    child.kill('SIGKILL');
    daemon.kill('SIGKILL');
    expect(await machine.exited).toMatchObject({ reason: 'crashed', detail: 'QEMU was killed by SIGKILL' });
  });

  it.each([
    ['guest-shutdown', { reason: 'off', lastLines: [] }],
    ['host-signal', { reason: 'crashed', detail: 'QEMU was told by a signal to end' }],
  ])('has its own reason (%s) when that process ends because QEMU does, and QEMU may take its time', async (reason, exit) => {
    const daemon = spawn('sleep', ['60']);
    const { machine, shutDown, end } = await makeMachine('running', [daemon]);
    shutDown(reason);
    daemon.kill('SIGKILL');
    await once(daemon, 'exit');
    await sleep(800);
    expect(isAlive(machine.record.process)).toBe(true);
    end(reason);
    expect(await machine.exited).toMatchObject(exit);
  });

  it('does not come from that process when another supervisor looks after it', async () => {
    const daemon = spawn('sleep', ['60']);
    const { machine } = await makeMachine('running', [daemon]);
    machine.release();
    daemon.kill('SIGKILL');
    await sleep(800);
    expect(isAlive(machine.record.process)).toBe(true);
  });

  it('comes when its processor fails, which QEMU itself would sit out', async () => {
    const { machine, say } = await makeMachine('internal-error');
    say('STOP');
    expect(await machine.exited).toMatchObject({ reason: 'crashed', detail: 'the virtual processor failed (KVM internal error)' });
  });

  it('does not come from a pause; that it goes on is told, whoever had it go on', async () => {
    const { machine, say } = await makeMachine('paused');
    await machine.pause();
    say('STOP');
    expect(isAlive(machine.record.process)).toBe(true);
    let told = 0;
    machine.onResume(() => {
      told += 1;
    });
    say('RESUME');
    expect(told).toBe(1);
    expect((await machine.kill()).reason).toBe('killed');
  });

  it('is asked about once at a time when QEMU says without end that it has stopped, and answers nothing', async () => {
    const { machine, said, say, hold } = await makeMachine('paused');
    const answer = hold('query-status');
    for (let count = 0; count < 10_000; count += 1) {
      say('STOP');
    }
    const asked = () => said.filter((command) => command === 'query-status').length;
    expect(asked()).toBe(1);
    answer();
    await vi.waitFor(() => expect(asked()).toBe(2), 10_000);
    expect((await machine.kill()).reason).toBe('killed');
  });

  it('comes when the monitor is lost: nobody could stop the machine any more', async () => {
    const { machine, close } = await makeMachine();
    close();
    expect(await machine.exited).toMatchObject({ reason: 'crashed', detail: 'QEMU closed its monitor' });
    expect(isAlive(machine.record.process)).toBe(false);
  });

  it('is not reported by a machine that was let go, which lives on', async () => {
    const { machine } = await makeMachine();
    machine.release();
    const outcome = await Promise.race([
      machine.exited,
      new Promise((resolve) => setImmediate(() => setImmediate(() => resolve('pending')))),
    ]);
    expect(outcome).toBe('pending');
    expect(isAlive(machine.record.process)).toBe(true);
  });
});

describe('a pause', () => {
  it('takes the links down first, and up again last', async () => {
    const { machine, said } = await makeMachine();
    await machine.pause();
    await machine.resume();
    expect(said).toEqual(['set_link down', 'stop', 'cont', 'set_link up', 'announce-self']);
  });

  it('that fails leaves the links up', async () => {
    const { machine, said, failing } = await makeMachine();
    failing.add('stop');
    await expect(machine.pause()).rejects.toThrow('no stop');
    expect(said).toEqual(['set_link down', 'stop', 'set_link up']);
  });

  it('passes over a card that QEMU no longer has', async () => {
    const { machine, said, unknown } = await makeMachine();
    unknown.add('set_link');
    await machine.pause();
    await machine.resume();
    expect(said).toEqual(['set_link down', 'stop', 'cont', 'set_link up', 'announce-self']);
  });
});

describe('a machine whose disk is full', () => {
  it('is held, and goes on when there is room, whatever its links say', async () => {
    const { machine, said, failing, say } = await makeMachine('io-error');
    const held: boolean[] = [];
    machine.onHold((is) => held.push(is));
    failing.add('set_link');
    say('STOP');
    await expect.poll(() => said).toContain('cont');
    expect(held).toEqual([true, false]);
  });
});

describe('a disk that is plugged in', () => {
  it('is refused where it is larger than what the machine’s process may write', async () => {
    const { machine, child } = await makeMachine();
    const path = join(tempDir(), 'disk');
    await writeFile(path, '');
    execFileSync('prlimit', ['--pid', String(child.pid), '--fsize=4096:4096']);
    const plug = async (size: number, readOnly = false) => {
      await truncate(path, size);
      return await machine.plugDisk({ serial: 'd', path, format: 'raw', readOnly });
    };
    await expect(plug(4097)).rejects.toMatchObject({ code: 'HYPR_UNSUPPORTED', message: expect.stringContaining(path) });
    // These get as far as the ports, of which there is none.
    await expect(plug(4096)).rejects.toMatchObject({ code: 'VMM_START' });
    await expect(plug(4097, true)).rejects.toMatchObject({ code: 'VMM_START' });
  });
});
