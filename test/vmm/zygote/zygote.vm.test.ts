import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../../../base/cleanup.ts';
import { exists } from '../../../base/host/files.ts';
import { isAlive, mustRun } from '../../../base/host/process.ts';
import { homePaths } from '../../../base/paths.ts';
import { connectGuest } from '../../../guest/client/client.ts';
import type { GuestClient } from '../../../guest/types.ts';
import { createQemuVmm } from '../../../vmm/backend/qemu-backend.ts';
import type { Machine, MachineSpec, Vmm } from '../../../vmm/model/machine.ts';
import type { QemuSettings } from '../../../vmm/qemu/command.ts';
import { makeFolders } from '../../../vmm/qemu/launch.ts';
import { createTemplates } from '../../../vmm/template/index.ts';
import { toolCommand } from '../../../vmm/toolchain/index.ts';
import { startZygote, type Zygote, type ZygoteInput } from '../../../vmm/zygote/zygote.ts';
import { createZygotePool } from '../../../vmm/zygote/zygote-pool.ts';
import { processSpec, readAll } from '../../guest/host-agent.ts';
import { openWorkshop, type Workshop } from '../../guest/test-machine.ts';
import { cat, makeNic, put, wake, wasBooted } from '../template/clones.ts';

/** Of the bench's: three copies of one process, kept for all tests of this file. */
const NAMES = ['ann', 'ben', 'cleo'] as const;
const IDLE_MS = 1_000_000;

const cleanup = new Cleanup();
/** What each NIC said, by the name of its machine. */
const said = new Map<string, Buffer>();
const machines: Machine[] = [];
const guests: GuestClient[] = [];
let workshop: Workshop;
let vmm: Vmm;
let dir: string;
let zygote: Zygote;
let started: ZygoteInput;

const macOf = (index: number): string => makeNic(index + 1).mac;
const hexMac = (index: number): string => macOf(index).replaceAll(':', '');

/** As in a stack, each machine has a folder, and consoles are not among them. */
const folderOf = (name: string): string => {
  const folder = join(dir, 'machines', name);
  mkdirSync(folder, { recursive: true });
  return folder;
};
const layerOf = (name: string): string => join(folderOf(name), `${name}.ext4`);

const makeSpec = (name: string, index: number): MachineSpec => ({
  name,
  runDir: join(dir, name),
  folder: folderOf(name),
  consoleLog: join(dir, 'logs', 'stack', `${name}.console`),
  vcpus: 1,
  memoryMib: 200,
  disks: [
    { serial: 'root', path: workshop.root, format: 'raw', readOnly: true },
    { serial: 'upper', path: layerOf(name), format: 'raw', readOnly: false, blank: { sizeMib: 1024, label: 'upper' } },
  ],
  nics: [{ ...makeNic(index + 1), id: 'n0' }],
  shares: [],
  siblings: 3,
});

/** A NIC of a network that writes down what it hears. */
const connectNic = async (name: string): Promise<net.Socket> => {
  const server = net.createServer((peer) =>
    peer.on('error', () => {}).on('data', (bytes) => said.set(name, Buffer.concat([said.get(name) ?? Buffer.alloc(0), bytes]))),
  );
  const path = join(dir, `${name}.net`);
  server.listen(path);
  cleanup.defer(() => server.close());
  const socket = net.connect(path);
  await once(socket, 'connect');
  return socket.pause();
};

const nic = (index: number) => ({
  mac: macOf(index),
  name: 'eth0',
  address: `10.9.0.${index + 2}`,
  prefix: 20,
  gateway: '10.9.0.1',
  mtu: 1400,
});
const root = { disk: 'root', upper: 'upper', readOnly: false };

beforeAll(async () => {
  workshop = await openWorkshop();
  cleanup.defer(() => workshop.close());
  dir = await mkdtemp(join(tmpdir(), 'hypr-zyg-'));
  cleanup.defer(() => rm(dir, { recursive: true, force: true }));
  const tscKhz = Number((await mustRun(workshop.toolchain.tsc, [])).stdout);
  const settings: QemuSettings = {
    toolchain: { ...workshop.toolchain, id: 'test', initramfs: workshop.initramfs },
    accelerator: 'tcg',
    tscKhz,
  };
  const templates = createTemplates({ settings, paths: homePaths(join(dir, 'home')), quietMs: IDLE_MS });
  const pool = createZygotePool({
    settings,
    idleMs: IDLE_MS,
    start: async (input) => {
      started = input;
      zygote = await startZygote(input);
      cleanup.defer(() => zygote.end());
      return zygote;
    },
  });
  vmm = createQemuVmm({ ...settings, templates, zygotePool: pool });
  await templates.makeRooted(makeSpec('any', 0));
  for (const [index, name] of NAMES.entries()) {
    const machine = await vmm.create(makeSpec(name, index), [await connectNic(name)]);
    cleanup.defer(() => vmm.sweep(machine.record));
    machines.push(machine);
    guests.push(await wake(machine, { root, hostname: name, nics: [nic(index)] }));
  }
});

afterAll(() => cleanup.run());

const each = <T>(ask: (guest: GuestClient) => Promise<T>): Promise<T[]> => Promise.all(guests.map(ask));

describe('copies of one process', () => {
  it('are what the machines of an image are, and nothing of them tells', async () => {
    expect(zygote).toBeDefined();
    expect(await Promise.all(machines.map(wasBooted))).toEqual([false, false, false]);
    for (const [index, { record }] of machines.entries()) {
      const line = await readFile(`/proc/${record.process.pid}/cmdline`, 'latin1');
      expect(line).toMatch(new RegExp(`-name\0hypr-${NAMES[index]} *\0`));
      // Of the process that was copied.
      expect(line).toContain('/proc/self/fd/');
      expect(record.template).toBe(started.template.key);
    }
    // The layer that they were copied with is nobody's any more.
    expect(await exists(join(started.runDir, 'upper'))).toBe(false);
  });

  it('have random numbers, names, addresses and layers of their own', async () => {
    for (const path of ['/proc/sys/kernel/random/uuid', '/proc/sys/kernel/random/boot_id', '/etc/machine-id', '/etc/hostname']) {
      expect(new Set(await each((guest) => cat(guest, path))).size).toBe(NAMES.length);
    }
    const drawn = await each(async (guest) => (await readAll(await guest.spawn(processSpec(['/bin/box', 'rdrand'])))).stdout.trim());
    expect(drawn.join(' ')).toMatch(/^[0-9a-f]{8,16}( [0-9a-f]{8,16}){2}$/);
    expect(new Set(drawn).size).toBe(NAMES.length);
    expect(await each((guest) => cat(guest, '/sys/class/net/eth0/address'))).toEqual(NAMES.map((_, index) => macOf(index)));
    for (const [index, routes] of (await each((guest) => cat(guest, '/proc/net/fib_trie'))).entries()) {
      expect(routes).toContain(`10.9.0.${index + 2}`);
      // Where the process that was copied believed to be.
      expect(routes).not.toContain('192.0.2');
    }
    await Promise.all(guests.map((guest, index) => put(guest, '/new', `of ${NAMES[index]}`)));
    expect(await each((guest) => cat(guest, '/new'))).toEqual(NAMES.map((name) => `of ${name}`));
    await each((guest) => guest.sync());
    for (const name of NAMES) {
      expect((await mustRun('grep', ['-c', `of ${name}`, layerOf(name)])).stdout.trim()).not.toBe('0');
    }
  });

  it('speak each on its own wire', async () => {
    await expect.poll(() => NAMES.filter((name) => said.get(name)?.length).length).toBe(NAMES.length);
    for (const [index, name] of NAMES.entries()) {
      const heard = said.get(name)?.toString('hex') ?? '';
      expect(heard).toContain(hexMac(index));
      expect(heard).not.toContain(hexMac((index + 1) % NAMES.length));
    }
  });

  it('may start no program and make no process, whatever a guest does to them', async () => {
    for (const { record } of machines) {
      const status = await readFile(`/proc/${record.process.pid}/status`, 'utf8');
      // A filter of QEMU's own, one of the process that was copied, and that of a copy.
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      expect(Number(/^Seccomp_filters:\t(\d+)$/m.exec(status)?.[1])).toBeGreaterThanOrEqual(3);
    }
  });

  it('fails where something of theirs is missing, and the next one succeeds', async () => {
    const spec = makeSpec('dora', 3);
    const lost = { ...spec, consoleLog: '/does/not/exist' };
    const socket = await connectNic('dora');
    await expect(zygote.copy(lost, socket)).rejects.toMatchObject({ code: 'VMM_START', message: expect.stringContaining('No such file') });
    expect(await readdir(folderOf('dora'))).toEqual([]);
    socket.destroy();
    const machine = await vmm.create(spec, [await connectNic('dora2')]);
    const guest = await wake(machine, { root, nics: [nic(3)] });
    expect(await cat(guest, '/opt/keep')).toBe('keep');
    await guest.close();
    expect(await machine.kill()).toEqual({ reason: 'killed', lastLines: [] });
    await machine.delete();
    expect(await exists(spec.runDir)).toBe(false);
  });

  it('go to disk and come back like any other', async () => {
    const [machine] = machines;
    const [guest] = guests;
    if (machine === undefined || guest === undefined) {
      throw new Error('there is a machine');
    }
    const program = await guest.startWorkload(processSpec(['/bin/box', 'listen', '99']));
    await machine.pause();
    const saved = await machine.save(join(folderOf('ann'), 'saved'));
    await guest.close();
    await machine.kill();
    const again = await vmm.restore(saved, [await connectNic('ann2')]);
    cleanup.defer(() => vmm.sweep(again.record));
    machines[0] = again;
    await again.resume();
    const anew = await connectGuest(again.record.agentSocket, { timeout: 60_000 });
    guests[0] = anew;
    expect(await anew.attachWorkload()).toMatchObject({ pid: program.pid });
    expect(await cat(anew, '/new')).toBe('of ann');
  });

  it('outlive what they are copies of, unless nobody has found them, and end one by one', async () => {
    const lost = makeSpec('eve', 4);
    await makeFolders(lost);
    const socket = await connectNic('eve');
    const eve = await zygote.copy(lost, socket);
    socket.destroy();
    expect(isAlive(eve)).toBe(true);
    await zygote.end();
    await expect.poll(() => isAlive(eve)).toBe(false);
    expect(await exists(started.runDir)).toBe(false);
    const [, ben, cleo] = machines;
    const [, second, third] = guests;
    expect(await cat(second as GuestClient, '/new')).toBe('of ben');
    await (second as GuestClient).startWorkload(processSpec(['/bin/box', 'listen', '99']));
    await (second as GuestClient).powerOff({ stopSignal: 15, graceMs: 0 });
    expect(await ben?.finish()).toEqual({ reason: 'off', lastLines: [] });
    expect(ben && isAlive(ben.record.process)).toBe(false);
    // What it was copied with is what its guest believed to be there.
    const check = toolCommand(workshop.toolchain.e2fsck, ['-fn', layerOf('ben')]);
    const { stdout, stderr } = await mustRun(check.file, check.args);
    expect(stdout).toContain('upper');
    // Unmounted by its guest: there is no journal to be recovered.
    expect(stdout + stderr).not.toContain('journal recovery');
    expect(await cat(third as GuestClient, '/new')).toBe('of cleo');
    expect(cleo && isAlive(cleo.record.process)).toBe(true);
  });
});
