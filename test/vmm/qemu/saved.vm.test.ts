import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Cleanup } from '../../../base/cleanup.ts';
import { mustRun } from '../../../base/host/process.ts';
import { homePaths } from '../../../base/paths.ts';
import { connectGuest } from '../../../guest/client/client.ts';
import type { GuestClient, MachineConfig } from '../../../guest/types.ts';
import { createQemuVmm } from '../../../vmm/backend/qemu-backend.ts';
import type { DiskSpec, Machine, MachineSpec, SavedMachine, Vmm } from '../../../vmm/model/machine.ts';
import { createTemplates } from '../../../vmm/template/index.ts';
import { machineConfig, processSpec, readAll } from '../../guest/host-agent.ts';
import { openWorkshop, type Workshop } from '../../guest/test-machine.ts';

const BOOT_MS = 120_000;

let workshop: Workshop;
let home: string;
let dir: string;
let vmm: Vmm;
let cleanup: Cleanup;

beforeAll(async () => {
  workshop = await openWorkshop();
  home = await mkdtemp(join(tmpdir(), 'hypr-saved-'));
  const tscKhz = Number((await mustRun(workshop.toolchain.tsc, [])).stdout);
  const toolchain = { ...workshop.toolchain, id: 'test', initramfs: workshop.initramfs };
  const settings = { toolchain, accelerator: 'tcg' as const, tscKhz };
  vmm = createQemuVmm({ ...settings, templates: createTemplates({ settings, paths: homePaths(home) }) });
  await createTemplates({ settings, paths: homePaths(home) }).make(makeSpec('any'));
});

afterAll(async () => {
  await workshop?.close();
  await rm(home, { recursive: true, force: true });
});

beforeEach(async () => {
  cleanup = new Cleanup();
  dir = await mkdtemp(join(tmpdir(), 'hypr-svd-'));
  cleanup.defer(() => rm(dir, { recursive: true, force: true }));
});

afterEach(() => cleanup.run());

const root = (): DiskSpec => ({ serial: 'root', path: workshop.root, format: 'raw', readOnly: true });

const makeSpec = (name: string, changes: Partial<MachineSpec> = {}): MachineSpec => ({
  name,
  runDir: join(dir ?? '/', name),
  consoleLog: join(dir ?? '/', `${name}.console`),
  ...(dir === undefined ? {} : { folder: dir }),
  vcpus: 1,
  memoryMib: 200,
  disks: [root()],
  nics: [],
  shares: [],
  ...changes,
});

interface Running {
  readonly machine: Machine;
  readonly guest: GuestClient;
}

const start = async (spec: MachineSpec, config: Partial<MachineConfig> = {}): Promise<Running> => {
  const machine = await vmm.create(spec, []);
  cleanup.defer(() => vmm.sweep(machine.record));
  await machine.start();
  const guest = await connectGuest(machine.record.agentSocket, { timeout: BOOT_MS });
  await guest.prepare(machineConfig({ clock: Date.now(), root: { disk: 'root', readOnly: false }, ...config }));
  return { machine, guest };
};

const run = async (guest: GuestClient, args: readonly string[]): Promise<string> => {
  const program = await guest.spawn(processSpec([...args]));
  const { stdout, stderr } = await readAll(program);
  await program.exited;
  return (stdout + stderr).trim();
};

/** To disk, its process gone, and back. */
const saveAndRestore = async ({ machine, guest }: Running): Promise<Running & { saved: SavedMachine }> => {
  await machine.pause();
  const saved = await machine.save(join(dir, 'state'));
  await guest.close();
  await machine.delete();
  const restored = await vmm.restore(JSON.parse(JSON.stringify(saved)), []);
  cleanup.defer(() => vmm.sweep(restored.record));
  await restored.resume();
  const again = await connectGuest(restored.record.agentSocket, { timeout: BOOT_MS });
  await again.setClock(Date.now());
  return { machine: restored, guest: again, saved };
};

const NOTE = '/note';

describe('a machine that was saved', () => {
  it.each(['clone', 'cold'] as const)('goes on where it was, and can be saved again: %s', async (layout) => {
    const running = await start(makeSpec('one', layout === 'cold' ? { memoryMib: 300 } : {}));
    expect(running.machine.record.layout).toBe(layout);
    expect(await run(running.guest, ['/bin/box', 'put', NOTE, 'remembered'])).toBe('');
    const workload = await running.guest.startWorkload(processSpec(['/bin/box', 'listen', '99']));
    const after = await saveAndRestore(running);
    expect((await stat(after.saved.state)).mode & 0o777).toBe(0o600);
    expect(after.guest.info.state).toBe('running');
    expect((await after.guest.attachWorkload()).pid).toBe(workload.pid);
    const twice = await saveAndRestore(after);
    expect(twice.saved.layout).toBe(layout);
    expect(await run(twice.guest, ['/bin/box', 'cat', NOTE])).toBe('remembered');
  });

  it('has its shared folders again, with what changed in them', async () => {
    await writeFile(join(dir, 'greeting'), 'hello');
    const shares = [{ tag: 'src', path: dir, readOnly: false, ownership: 'squash' as const }];
    const mounts = [{ kind: 'share' as const, tag: 'src', target: '/src', readOnly: false, seed: false }];
    const running = await start(makeSpec('one', { shares }), { mounts });
    expect(await run(running.guest, ['/bin/box', 'cat', '/src/greeting'])).toBe('hello');
    await writeFile(join(dir, 'news'), 'hello again');
    const { guest } = await saveAndRestore(running);
    expect(await run(guest, ['/bin/box', 'cat', '/src/greeting'])).toBe('hello');
    expect(await run(guest, ['/bin/box', 'cat', '/src/news'])).toBe('hello again');
    expect(await run(guest, ['/bin/box', 'put', '/src/answer', 'hi'])).toBe('');
    expect(await readFile(join(dir, 'answer'), 'utf8')).toBe('hi');
  });

  it('is not restored by other programs, nor without its memory', async () => {
    const { machine, guest } = await start(makeSpec('one'));
    await machine.pause();
    const saved = await machine.save(join(dir, 'state'));
    await expect(vmm.restore({ ...saved, programs: 'others' }, [])).rejects.toMatchObject({ code: 'VMM_SAVED' });
    await expect(vmm.restore({ ...saved, state: join(dir, 'gone') }, [])).rejects.toMatchObject({ code: 'VMM_SAVED' });
    // Saving ends nothing: what could not be done as a whole is undone by going on.
    await machine.resume();
    expect((await guest.stats()).memoryTotal).toBeGreaterThan(0);
  });

  it('goes on when it cannot be saved', async () => {
    const { machine, guest } = await start(makeSpec('one'));
    await machine.pause();
    await expect(machine.save(join(dir, 'no', 'such', 'folder'))).rejects.toBeInstanceOf(Error);
    await machine.resume();
    expect((await guest.stats()).memoryTotal).toBeGreaterThan(0);
  });
});
