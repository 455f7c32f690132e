import { once } from 'node:events';
import { chmod, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Cleanup } from '../../../base/cleanup.ts';
import { exists } from '../../../base/host/files.ts';
import { mustRun } from '../../../base/host/process.ts';
import { homePaths } from '../../../base/paths.ts';
import type { GuestClient, ProcessSpec } from '../../../guest/types.ts';
import { createQemuVmm } from '../../../vmm/backend/qemu-backend.ts';
import type { DiskSpec, Machine, MachineSpec } from '../../../vmm/model/machine.ts';
import type { QemuSettings } from '../../../vmm/qemu/command.ts';
import { createTemplates, templateKey } from '../../../vmm/template/index.ts';
import { sealTemplate, templatesFolder } from '../../../vmm/template/store.ts';
import type { Templates } from '../../../vmm/template/types.ts';
import { processSpec, readAll } from '../../guest/host-agent.ts';
import { openWorkshop, type Workshop } from '../../guest/test-machine.ts';
import { cat, makeNic, put, wake, wasBooted } from './clones.ts';

/** HYPR_TEST_CLONES=200 for a long run. */
const IN_A_ROW = Number(process.env.HYPR_TEST_CLONES ?? 8);

let workshop: Workshop;
let settings: QemuSettings;
let home: string;
let dir: string;
let templates: Templates;
let cleanup: Cleanup;
let network: net.Server;

beforeAll(async () => {
  workshop = await openWorkshop();
  home = await mkdtemp(join(tmpdir(), 'hypr-templates-'));
  const tscKhz = Number((await mustRun(workshop.toolchain.tsc, [])).stdout);
  settings = { toolchain: { ...workshop.toolchain, id: 'test', initramfs: workshop.initramfs }, accelerator: 'tcg', tscKhz };
  // None is made in the background, while a test looks at what is there.
  templates = createTemplates({ settings, paths: homePaths(home), quietMs: 3_600_000 });
  // A network that takes frames and says nothing.
  network = net.createServer((peer) => peer.on('error', () => {}).resume());
  network.listen(join(home, 'net'));
  await once(network, 'listening');
});

afterAll(async () => {
  network?.close();
  await workshop?.close();
  await rm(home, { recursive: true, force: true });
});

beforeEach(async () => {
  cleanup = new Cleanup();
  dir = await mkdtemp(join(tmpdir(), 'hypr-tpl-'));
  cleanup.defer(() => rm(dir, { recursive: true, force: true }));
});

afterEach(() => cleanup.run());

const root = (): DiskSpec => ({ serial: 'root', path: workshop.root, format: 'raw', readOnly: true });

const makeSpec = (name: string, changes: Partial<MachineSpec> = {}): MachineSpec => ({
  name,
  runDir: join(dir, name),
  consoleLog: join(dir, `${name}.console`),
  vcpus: 1,
  memoryMib: 200,
  disks: [root()],
  nics: [],
  shares: [],
  ...changes,
});

const connectNic = async (): Promise<net.Socket> => {
  const socket = net.connect(join(home, 'net'));
  await once(socket, 'connect');
  return socket.pause();
};

const create = async (spec: MachineSpec, shelf: Templates = templates): Promise<Machine> => {
  const sockets = await Promise.all(spec.nics.map(connectNic));
  const vmm = createQemuVmm({ ...settings, templates: shelf });
  const machine = await vmm.create(spec, sockets);
  cleanup.defer(() => vmm.sweep(machine.record));
  return machine;
};

const makeDisk = async (name: string, mib: number): Promise<DiskSpec> => {
  const path = join(dir, name);
  const file = await open(path, 'w');
  await file.truncate(mib << 20);
  await file.close();
  return { serial: name, path, format: 'raw', readOnly: false };
};

const keyOf = (spec: MachineSpec): string => templateKey(settings, spec);

describe('a template', () => {
  it('is made once by two at the same moment, and nobody may write to it', async () => {
    const other = createTemplates({ settings, paths: homePaths(home) });
    const [one, two] = await Promise.all([templates.make(makeSpec('a')), other.make(makeSpec('b', { memoryMib: 256 }))]);
    expect(one).toEqual(two);
    expect(one?.key).toBe(keyOf(makeSpec('c')));
    expect(await readdir(templatesFolder(homePaths(home)))).toEqual([one?.key]);
    for (const path of [one?.ram, one?.state]) {
      expect(((await stat(path ?? '')).mode & 0o777).toString(8)).toBe('400');
    }
  });
});

describe('clones of one template', () => {
  it('have their own disks, NICs, names, clocks and random numbers', async () => {
    const nics = [makeNic(2), makeNic(1)];
    const one = await create(makeSpec('one', { disks: [await makeDisk('big', 96), root()], nics }));
    const two = await create(makeSpec('two', { nics: [makeNic(3)] }));
    const config = nics.map(({ mac, mtu }, index) => ({ mac, name: `eth${index}`, address: `10.9.${index}.2`, prefix: 24, mtu }));
    const third = { mac: makeNic(3).mac, name: 'eth0', address: '10.9.0.3', prefix: 24, gateway: '10.9.0.1', mtu: 1500 };
    const [first, second] = await Promise.all([
      wake(one, { hostname: 'first', nics: config }),
      wake(two, { hostname: 'second', nics: [{ ...third, mtu: 1403 }] }),
    ]);
    expect([await wasBooted(one), await wasBooted(two)]).toEqual([false, false]);

    const seen = new Set<string>();
    for (const guest of [first, second]) {
      for (const path of ['/proc/sys/kernel/random/boot_id', '/proc/sys/kernel/random/uuid', '/etc/machine-id', '/etc/hostname']) {
        seen.add(await cat(guest, path));
      }
      const maps = await cat(guest, '/proc/self/maps');
      seen.add(/^(\S+) .*\[stack\]$/m.exec(maps)?.[1] ?? '');
    }
    expect(seen.size).toBe(10);

    expect(await cat(first, '/sys/class/net/eth0/address')).toBe(makeNic(2).mac);
    expect(await cat(first, '/sys/class/net/eth0/mtu')).toBe('1402');
    expect(await cat(first, '/sys/class/net/eth1/address')).toBe(makeNic(1).mac);
    expect(await cat(second, '/sys/class/net/eth0/address')).toBe(makeNic(3).mac);
    expect(await cat(second, '/proc/net/fib_trie')).toContain('10.9.0.3');
    const serials = (guest: GuestClient) => Promise.all(['vda', 'vdb'].map((disk) => cat(guest, `/sys/block/${disk}/serial`)));
    expect(await serials(first)).toEqual(['big', 'root']);
    // The template has two disks prepared; the second machine has only one.
    expect(await serials(second)).toEqual(['root', 'none1']);

    for (const guest of [first, second]) {
      const program = await guest.spawn(processSpec(['/bin/box', 'echo', 'now']));
      for await (const chunk of program.output) {
        expect(Math.abs(chunk.time - Date.now())).toBeLessThan(1000);
      }
      await program.exited;
    }
  });

  it('have shared folders', async () => {
    await writeFile(join(dir, 'greeting'), 'hello');
    const shares = [{ tag: 'src', path: dir, readOnly: false, ownership: 'squash' as const }];
    expect(await templates.make(makeSpec('a', { shares }))).toMatchObject({ ram: undefined });
    const machine = await create(makeSpec('one', { shares, nics: [makeNic(1)] }));
    const guest = await wake(machine, { mounts: [{ kind: 'share', tag: 'src', target: '/src', readOnly: false, seed: false }] });
    expect(await wasBooted(machine)).toBe(false);
    expect(await cat(guest, '/src/greeting')).toBe('hello');
    const program = await guest.spawn(processSpec(['/bin/box', 'put', '/src/answer', 'hi']));
    await program.exited;
    expect(await readFile(join(dir, 'answer'), 'utf8')).toContain('hi');
  });

  it('see no NIC but their own', async () => {
    const guest = await wake(await create(makeSpec('bare')));
    const program = await guest.spawn(processSpec(['/bin/box', 'ls', '/sys/class/net']));
    expect((await readAll(program)).stdout.trim().split(/\s+/)).toEqual(['lo']);
  });

  it('pause, go on, and power off', async () => {
    const machine = await create(makeSpec('one', { nics: [makeNic(1)] }));
    const guest = await wake(machine);
    await machine.pause();
    await machine.resume();
    expect((await guest.stats()).memoryTotal).toBeGreaterThan(100 << 20);
    const ended = machine.exited;
    await guest.powerOff({ stopSignal: 15, graceMs: 0 });
    expect(await ended).toEqual({ reason: 'off', lastLines: [] });
  });

  it('give back to the host what their guest has freed, and leave the template as it is', async () => {
    const MIB = 2 ** 20;
    const template = await templates.find(makeSpec('a'));
    const before = await readFile(template?.ram ?? '');
    const machine = await create(makeSpec('eater'));
    const guest = await wake(machine);
    const idle = await machine.memory();
    const program = await guest.spawn(processSpec(['/bin/box', 'eat', '96'], { stdin: true }));
    await expect.poll(() => machine.memory(), { timeout: 30_000 }).toBeGreaterThan(idle + 80 * MIB);
    await program.signal(9);
    await program.exited;
    await expect.poll(() => machine.memory(), { timeout: 30_000 }).toBeLessThan(idle + 40 * MIB);
    expect((await readFile(template?.ram ?? '')).equals(before)).toBe(true);
  });

  it(`succeed ${IN_A_ROW} times in a row`, { timeout: 60_000 + IN_A_ROW * 10_000 }, async () => {
    const ids = new Set<string>();
    for (let count = 0; count < IN_A_ROW; count++) {
      const machine = await create(makeSpec('row', { disks: [root(), await makeDisk('d', 8 + count)], nics: [makeNic(1)] }));
      const guest = await wake(machine);
      expect(await wasBooted(machine)).toBe(false);
      ids.add(await cat(guest, '/proc/sys/kernel/random/uuid'));
      await guest.close();
      await machine.delete();
    }
    expect(ids.size).toBe(IN_A_ROW);
  });

  it('leave nothing of themselves in it', async () => {
    expect(await templates.find(makeSpec('a'))).toMatchObject({ key: keyOf(makeSpec('a')) });
  });
});

describe('a template with a root', () => {
  const blank = { sizeMib: 1024, label: 'upper' };
  const rooted = (name: string, changes: Partial<MachineSpec> = {}): MachineSpec =>
    makeSpec(name, {
      disks: [root(), { serial: 'upper', path: join(dir, `${name}.ext4`), format: 'raw', readOnly: false, blank }],
      ...changes,
    });
  const makeVolume = async (serial: string): Promise<DiskSpec> => {
    const disk = await makeDisk(serial, 64);
    await mustRun(workshop.toolchain.mkfsExt4.file, [...workshop.toolchain.mkfsExt4.prefix, '-q', disk.path]);
    return disk;
  };
  const both = { root: { disk: 'root', upper: 'upper', readOnly: false } };
  it('has it mounted for its clones, each with a writable layer, names and random numbers of its own', async () => {
    const template = await templates.makeRooted(rooted('any'));
    expect(await templates.find(rooted('other'), 'rooted')).toEqual(template);
    const machines = await Promise.all(['one', 'two'].map((name) => create(rooted(name, { nics: [makeNic(1)] }))));
    const [one, two] = await Promise.all(
      machines.map((machine, index) => {
        const nic = { mac: makeNic(1).mac, name: 'eth0', address: `10.9.0.${index + 2}`, prefix: 20, gateway: '10.9.0.1', mtu: 1401 };
        return wake(machine, { ...both, hostname: `host-${index}`, nics: [nic] });
      }),
    );
    if (one === undefined || two === undefined) {
      throw new Error('there are two machines');
    }
    expect(await Promise.all(machines.map(wasBooted))).toEqual([false, false]);
    await Promise.all([put(one, '/new', 'first'), put(two, '/new', 'second')]);
    expect([await cat(one, '/new'), await cat(two, '/new')]).toEqual(['first', 'second']);
    expect(await cat(one, '/opt/keep')).toBe('keep');
    expect([await cat(one, '/etc/hostname'), await cat(two, '/etc/hostname')]).toEqual(['host-0', 'host-1']);
    expect(await cat(one, '/proc/sys/kernel/random/uuid')).not.toBe(await cat(two, '/proc/sys/kernel/random/uuid'));
    expect(await cat(two, '/sys/class/net/eth0/address')).toBe(makeNic(1).mac);
    expect(await cat(two, '/sys/class/net/eth0/mtu')).toBe('1401');
    expect(await cat(two, '/proc/net/route')).toMatch(/^eth0\t00000000\t0100090A/m);
    expect(await cat(two, '/proc/net/fib_trie')).toContain('10.9.0.0/20');

    // Started again, the layer has what was written, and no template may claim to have it mounted.
    await one.powerOff({ stopSignal: 15, graceMs: 0 });
    await machines[0]?.exited;
    const again = await wake(await create({ ...rooted('one'), runDir: join(dir, 'again') }), both);
    expect(await cat(again, '/new')).toBe('first');
    expect(await cat(again, '/opt/keep')).toBe('keep');

    // One that could not be prepared starts anew with a fresh layer, and mounting its root by itself.
    expect(machines.map(({ record }) => record.rooted)).toEqual([true, true]);
    await machines[1]?.kill();
    await writeFile(join(dir, 'two.ext4'), 'not a file system');
    const other = await create({ ...rooted('two'), runDir: join(dir, 'other'), fallback: { start: 'clone', freshLayer: true } });
    expect(other.record).toMatchObject({ layout: 'clone', template: keyOf(rooted('two')) });
    expect(other.record.rooted).toBeUndefined();
    const anew = await wake(other, both);
    expect([await cat(anew, '/opt/keep'), await cat(anew, '/new')]).toEqual(['keep', '']);
  });

  it('leaves a volume its place, and puts the files of the machine on top of it', async () => {
    const spec = rooted('vol');
    const mount = { kind: 'disk', disk: 'vol0', readOnly: false } as const;
    const guest = await wake(await create({ ...spec, disks: [...spec.disks, await makeVolume('vol0')] }), {
      ...both,
      hostname: 'mine',
      mounts: [
        { ...mount, target: '/etc', seed: true },
        { ...mount, target: '/under', seed: false },
      ],
    });
    expect(await cat(guest, '/etc/hostname')).toBe('mine');
    expect(await cat(guest, '/etc/passwd')).toContain('app:x:1000');
    // The volume has the image's file, which lies below the machine's.
    expect(await cat(guest, '/under/hosts')).toBe('of the image');
  });

  /** A clone with a read-only root and volume: what its workload has mounted, and what it says. */
  const runWorkload = async (
    name: string,
    process: Partial<ProcessSpec>,
  ): Promise<{ readonly mounts: string; readonly output: string }> => {
    const guest = await wake(await create({ ...rooted(name), disks: [...rooted(name).disks, await makeVolume(`${name}-vol`)] }), {
      root: { ...both.root, readOnly: true },
      mounts: [
        { kind: 'tmpfs', target: '/late', readOnly: false, mode: 0o755 },
        { kind: 'disk', disk: `${name}-vol`, target: '/frozen', readOnly: true, seed: false },
      ],
    });
    // A program before the workload is none of its kin.
    expect(await cat(guest, '/proc/1/cmdline')).toContain('/proc/1/cmdline');
    const workload = await guest.startWorkload({ ...processSpec(['box', 'chatter', '5', '1'], { env: ['PATH=/bin'] }), ...process });
    const mounts = await cat(guest, '/proc/1/mountinfo');
    expect(await cat(guest, '/proc/1/cmdline')).toBe('box\0chatter\x005\x001\0');
    expect([await cat(guest, '/proc/1/cgroup'), await cat(guest, '/proc/1/oom_score_adj')]).toEqual(['0::/', '0']);
    expect((await guest.stats()).pids).toBe(1);
    await guest.writeFiles([{ path: '/late/file', content: Buffer.from('late'), mode: 0o444, uid: 0, gid: 0 }]);
    expect(await cat(guest, '/late/file')).toBe('late');
    const output = readAll(workload);
    expect(await guest.powerOff({ stopSignal: 15, graceMs: 20_000 })).toEqual({ code: 5, oomKilled: false });
    return { mounts, output: (await output).stdout };
  };

  it('has the workload waiting in it, which sees what its machine mounts; one with a terminal is forked', async () => {
    const waiting = await runWorkload('waiting', { user: 'app', limits: { nofile: { soft: 99, hard: 99 } } });
    expect(waiting.mounts.match(/ (\/|\/frozen) ro.* master:/g)).toHaveLength(2);
    expect(waiting.output).toMatch(/^ready\n/);
    const forked = await runWorkload('forked', { tty: true });
    expect(forked.mounts.match(/ (\/|\/frozen) ro(?!.*master:)/g)).toHaveLength(2);
    expect(forked.output).toMatch(/^ready\r\n/);
  });

  it('has it for machines with shared folders too', async () => {
    await writeFile(join(dir, 'greeting'), 'hello');
    const shares = [{ tag: 'src', path: dir, readOnly: true, ownership: 'squash' as const }];
    expect(await templates.makeRooted(rooted('any', { shares }))).toMatchObject({ ram: undefined, upper: expect.any(String) });
    const machine = await create(rooted('shared', { shares }));
    const guest = await wake(machine, { ...both, mounts: [{ kind: 'share', tag: 'src', target: '/src', readOnly: true, seed: false }] });
    expect(await wasBooted(machine)).toBe(false);
    expect([await cat(guest, '/src/greeting'), await cat(guest, '/opt/keep')]).toEqual(['hello', 'keep']);
  });

  it('that was changed is thrown away, and one without it does', async () => {
    const template = await templates.makeRooted(rooted('any'));
    await chmod(template?.upper ?? '', 0o600);
    await writeFile(template?.upper ?? '', 'something else');
    const machine = await create(rooted('one'));
    const guest = await wake(machine, both);
    expect(await wasBooted(machine)).toBe(false);
    expect(await cat(guest, '/opt/keep')).toBe('keep');
    expect(await templates.find(rooted('other'), 'rooted')).toBeUndefined();
  });
});

describe('a damaged template', () => {
  const damage = async (path: string, at: number): Promise<void> => {
    await chmod(path, 0o600);
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(4096, 0xff), 0, 4096, at);
    await file.close();
  };

  it('is noticed and thrown away; the machine boots', async () => {
    const template = await templates.make(makeSpec('a'));
    await damage(template?.ram ?? '', 1 << 20);
    const machine = await create(makeSpec('one'));
    await wake(machine);
    expect(await wasBooted(machine)).toBe(true);
    expect(await exists(template?.ram ?? '')).toBe(false);
  });

  it('that QEMU refuses is thrown away the second time', async () => {
    const template = await templates.make(makeSpec('a'));
    const folder = join(templatesFolder(homePaths(home)), template?.key ?? '');
    await damage(template?.state ?? '', 0);
    await rm(join(folder, 'template.json'));
    await chmod(template?.ram ?? '', 0o600);
    await sealTemplate(folder, { form: 'mapped', toolchain: 'test' });
    expect(await templates.find(makeSpec('a'))).toBeDefined();

    const machine = await create(makeSpec('one', { nics: [makeNic(1)] }));
    await wake(machine, { nics: [{ mac: makeNic(1).mac, name: 'eth0', address: '10.9.0.3', prefix: 24, mtu: 1401 }] });
    expect(await wasBooted(machine)).toBe(true);
    expect(await templates.find(makeSpec('a'))).toBeDefined();
    await create(makeSpec('two'));
    expect(await templates.find(makeSpec('a'))).toBeUndefined();
  });

  it('is not blamed for a disk that is not there', async () => {
    const template = await templates.make(makeSpec('a'));
    const missing: DiskSpec = { serial: 'x', path: join(dir, 'missing'), format: 'raw', readOnly: true };
    for (let count = 0; count < 3; count++) {
      await expect(create(makeSpec('one', { disks: [missing] }))).rejects.toMatchObject({ code: 'VMM_START' });
    }
    expect(await templates.find(makeSpec('a'))).toEqual(template);
  });

  it('half made by somebody who was killed is in nobody\u2019s way', async () => {
    const spec = makeSpec('a', { memoryMib: 256, vcpus: 2 });
    const staging = join(templatesFolder(homePaths(home)), `${keyOf(spec)}.making`);
    await mustRun('mkdir', ['-p', staging]);
    await writeFile(join(staging, 'ram'), 'half');
    expect(await templates.make(spec)).toMatchObject({ key: keyOf(spec) });
    expect(await exists(staging)).toBe(false);
    const machine = await create(makeSpec('smp', { vcpus: 2 }));
    expect(await cat(await wake(machine), '/sys/devices/system/cpu/online')).toBe('0-1');
  });
});
