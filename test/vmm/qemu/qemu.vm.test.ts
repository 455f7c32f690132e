import { once } from 'node:events';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Cleanup } from '../../../base/cleanup.ts';
import { exists } from '../../../base/host/files.ts';
import { isAlive, mustRun } from '../../../base/host/process.ts';
import { connectGuest } from '../../../guest/client/client.ts';
import { createQemuVmm } from '../../../vmm/backend/qemu-backend.ts';
import type { Machine, MachineSpec } from '../../../vmm/model/machine.ts';
import type { Toolchain } from '../../../vmm/model/tools.ts';
import { connectQmp } from '../../../vmm/qemu/qmp.ts';
import { needToolchain } from '../../../vmm/toolchain/index.ts';

const BOOT_MS = 120_000;
let toolchain: Toolchain;
let tscKhz: number;
let dir: string;
let cleanup: Cleanup;

beforeAll(async () => {
  toolchain = await needToolchain();
  tscKhz = Number((await mustRun(toolchain.tsc, [])).stdout);
});

beforeEach(async () => {
  cleanup = new Cleanup();
  dir = await mkdtemp(join(tmpdir(), 'hypr-qemu-'));
  cleanup.defer(() => rm(dir, { recursive: true, force: true }));
});

afterEach(() => cleanup.run());

const makeVmm = () => createQemuVmm({ toolchain, accelerator: 'tcg', tscKhz });

const makeSpec = (changes: Partial<MachineSpec> = {}): MachineSpec => ({
  name: 'test',
  runDir: join(dir, 'm'),
  consoleLog: join(dir, 'log', 'console'),
  vcpus: 1,
  memoryMib: 256,
  disks: [],
  nics: [],
  shares: [],
  ...changes,
});

const makeDisk = async (): Promise<string> => {
  const path = join(dir, 'disk');
  const file = await open(path, 'w');
  await file.truncate(64 << 20);
  await file.close();
  return path;
};

/** A network that takes a machine's frames and says nothing. */
const makeNetwork = async (): Promise<net.Socket> => {
  const server = net.createServer((peer) => {
    peer.on('error', () => {});
    peer.resume();
  });
  server.listen(join(dir, 'net'));
  await once(server, 'listening');
  cleanup.defer(() => server.close());
  const socket = net.connect(join(dir, 'net'));
  await once(socket, 'connect');
  return socket.pause();
};

const create = async (changes: Partial<MachineSpec> = {}, sockets: net.Socket[] = []): Promise<Machine> => {
  const machine = await makeVmm().create(makeSpec(changes), sockets);
  cleanup.defer(() => makeVmm().sweep(machine.record));
  return machine;
};

const answer = (machine: Machine) => {
  const died = machine.exited.then((exit) => {
    throw new Error(`the machine ended: ${JSON.stringify(exit)}`);
  });
  died.catch(() => {});
  return Promise.race([connectGuest(machine.record.agentSocket, { signal: AbortSignal.timeout(BOOT_MS), timeout: BOOT_MS }), died]);
};

const expectNothingLeft = async (machine: Machine): Promise<void> => {
  const { record } = machine;
  expect([record.process, ...record.helpers].filter(isAlive)).toEqual([]);
  expect(await exists(record.spec.runDir)).toBe(false);
};

describe('a machine under software emulation', () => {
  it('boots, pauses, goes on, is taken over, and powers off', async () => {
    const disks = [{ serial: 'd0', path: await makeDisk(), format: 'raw' as const, readOnly: false }];
    const nics = [{ id: 'n0', mac: '02:00:00:00:00:01', mtu: 1500 }];
    const first = await create({ disks, nics }, [await makeNetwork()]);
    await first.start();
    const guest = await answer(first);
    expect(guest.info).toMatchObject({ state: 'waiting', kernel: toolchain.kernelRelease });
    expect(await readFile(first.record.spec.consoleLog, 'utf8')).toContain('kestrel: waiting for its configuration');
    expect(await first.memory()).toBeGreaterThan(32 << 20);

    await first.pause();
    first.release();
    const monitor = await connectQmp(first.record.controlSocket);
    expect(await monitor.run('query-status')).toMatchObject({ status: 'paused', running: false });
    monitor.close();

    const second = await makeVmm().adopt(first.record);
    expect(second).toBeDefined();
    await second?.resume();
    expect((await guest.stats()).memoryTotal).toBeGreaterThan(100 << 20);

    const ended = second?.exited;
    await guest.powerOff({ stopSignal: 15, graceMs: 0 });
    expect(await ended).toEqual({ reason: 'off', lastLines: [] });
    await second?.delete();
    await expectNothingLeft(first);
    expect(await makeVmm().adopt(first.record)).toBeUndefined();
  });

  it('that is killed from outside is noticed, with its last words; nothing is left of it or its helpers', async () => {
    const machine = await create({ shares: [{ tag: 's0', path: dir, readOnly: true, ownership: 'squash' }] });
    expect(machine.record.helpers.filter(isAlive)).toHaveLength(1);
    await machine.start();
    await (await answer(machine)).close();
    process.kill(machine.record.process.pid, 'SIGKILL');
    const exit = await machine.exited;
    expect(exit).toMatchObject({ reason: 'crashed', detail: 'QEMU was killed by SIGKILL' });
    expect(exit.lastLines.join('\n')).toContain('kestrel: waiting for its configuration');
    await machine.delete();
    await expectNothingLeft(machine);
  });

  it('is gone after a sweep by somebody who only has its record, also twice', async () => {
    const machine = await create();
    const record = JSON.parse(JSON.stringify(machine.record)) as typeof machine.record;
    await makeVmm().sweep(record);
    expect((await machine.exited).reason).toBe('crashed');
    await makeVmm().sweep(record);
    await expectNothingLeft(machine);
  });

  it('stops within its time, and is killed after it', async () => {
    const machine = await create();
    expect(await machine.stop(1)).toMatchObject({ reason: 'killed' });
    await machine.delete();
    await expectNothingLeft(machine);
  });

  it('that cannot start says why, and leaves nothing', async () => {
    const disks = [{ serial: 'd0', path: join(dir, 'missing'), format: 'raw' as const, readOnly: true }];
    const sockets = [await makeNetwork()];
    const attempt = makeVmm().create(makeSpec({ disks, nics: [{ id: 'n0', mac: '02:00:00:00:00:01', mtu: 1500 }] }), sockets);
    const error = (await attempt.catch((thrown: unknown) => thrown)) as { code: string; details: string[] };
    expect(error.code).toBe('VMM_START');
    expect(error.details.join('\n')).toContain('No such file or directory');
    expect(sockets.every((socket) => socket.destroyed)).toBe(true);
    expect(await exists(join(dir, 'm'))).toBe(false);
  });

  it('is not created for somebody who gave up', async () => {
    const stop = new AbortController();
    const attempt = makeVmm().create(makeSpec(), [], stop.signal);
    stop.abort(new Error('never mind'));
    await expect(attempt).rejects.toThrow('never mind');
    expect(await exists(join(dir, 'm'))).toBe(false);
  });
});
