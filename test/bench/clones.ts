import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustRun } from '../../base/host/process.ts';
import { homePaths } from '../../base/paths.ts';
import { connectGuest } from '../../guest/client/client.ts';
import { createQemuVmm } from '../../vmm/backend/qemu-backend.ts';
import type { Machine, MachineSpec, Vmm } from '../../vmm/model/machine.ts';
import { createTemplates } from '../../vmm/template/index.ts';
import { machineConfig } from '../guest/host-agent.ts';
import { openWorkshop, type Workshop } from '../guest/test-machine.ts';

const ANSWER_MS = 120_000;
/** Of CLK_TCK, which is 100 on every Linux that runs Node. */
const TICK_MS = 10;

/** What one clone took: wall-clock milliseconds of each step, and CPU milliseconds of its QEMU up to each step. */
export interface CloneTimes {
  readonly create: number;
  readonly agent: number;
  readonly prepare: number;
  readonly total: number;
  readonly cpuCreated: number;
  readonly cpuAgent: number;
  readonly cpu: number;
}

export interface ClonesResult {
  readonly times: readonly CloneTimes[];
  readonly failures: readonly string[];
  /** MiB of each of the clones that were idle at the same time. */
  readonly pss: readonly number[];
}

/**
 * Clones one template `count` times, `atOnce` at a time, each with a root, a writable disk and a NIC, up
 * to the answer that root and network are ready; then keeps `idle` of them and measures their memory.
 */
export const measureClones = async (input: { count: number; atOnce: number; idle: number }): Promise<ClonesResult> => {
  const bench = await openBench();
  const times: CloneTimes[] = [];
  const failures: string[] = [];
  try {
    await inParallel(input.count, input.atOnce, async (index) => {
      try {
        const { machine, taken } = await bench.clone(`c${index}`);
        times.push(taken);
        await machine.delete();
      } catch (error) {
        failures.push(String(error));
      }
    });
    const machines: Machine[] = [];
    await inParallel(input.idle, input.atOnce, async (index) => {
      machines.push((await bench.clone(`i${index}`)).machine);
    });
    const pss = await Promise.all(machines.map(async (machine) => (await machine.memory()) / 2 ** 20));
    return { times, failures, pss };
  } finally {
    await bench.close();
  }
};

const inParallel = async (count: number, atOnce: number, work: (index: number) => Promise<void>): Promise<void> => {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await work(next);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
};

interface Bench {
  clone(name: string): Promise<{ machine: Machine; taken: CloneTimes }>;
  close(): Promise<void>;
}

const openBench = async (): Promise<Bench> => {
  const workshop = await openWorkshop();
  const dir = await mkdtemp(join(tmpdir(), 'hypr-cl-'));
  const tscKhz = Number((await mustRun(workshop.toolchain.tsc, [])).stdout);
  const settings = {
    toolchain: { ...workshop.toolchain, id: 'bench', initramfs: workshop.initramfs },
    accelerator: 'tcg' as const,
    tscKhz,
  };
  const templates = createTemplates({ settings, paths: homePaths(dir) });
  // A network that takes frames and says nothing.
  const network = net.createServer((peer) => peer.on('error', () => {}).resume());
  network.listen(join(dir, 'net'));
  await once(network, 'listening');
  const place = { name: 'c', runDir: dir, consoleLog: dir };
  await templates.makeRooted({ ...place, vcpus: 1, memoryMib: 512, disks: cloneDisks(workshop, join(dir, 'none')), nics: [], shares: [] });
  const vmm = createQemuVmm({ ...settings, templates });
  const machines = new Set<Machine>();
  return {
    clone: (name) => cloneOne({ vmm, workshop, dir, name, machines }),
    close: async () => {
      await Promise.all([...machines].map((machine) => machine.delete()));
      network.close();
      await workshop.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
};

const cloneDisks = (workshop: Workshop, upper: string): MachineSpec['disks'] => [
  { serial: 'root', path: workshop.root, format: 'raw', readOnly: true },
  { serial: 'upper', path: upper, format: 'raw', readOnly: false, blank: { sizeMib: 65_536, label: 'upper' } },
];

const cloneOne = async (input: { vmm: Vmm; workshop: Workshop; dir: string; name: string; machines: Set<Machine> }) => {
  const { vmm, workshop, dir, name } = input;
  const mac = '02:00:00:00:01:01';
  const socket = net.connect(join(dir, 'net'));
  await once(socket, 'connect');
  const spec = {
    name,
    runDir: join(dir, name),
    consoleLog: join(dir, `${name}.console`),
    vcpus: 1,
    memoryMib: 512,
    disks: cloneDisks(workshop, join(dir, `${name}.ext4`)),
    nics: [{ id: 'n0', mac, mtu: 1500 }],
    shares: [],
  };
  const begin = performance.now();
  const machine = await vmm.create(spec, [socket.pause()]);
  input.machines.add(machine);
  const created = performance.now();
  const cpuCreated = await cpuOf(machine.record.process.pid);
  await machine.start();
  const guest = await connectGuest(machine.record.agentSocket, { timeout: ANSWER_MS });
  const answered = performance.now();
  const cpuAgent = await cpuOf(machine.record.process.pid);
  await guest.prepare(
    machineConfig({
      entropy: crypto.getRandomValues(new Uint8Array(64)),
      root: { disk: 'root', upper: 'upper', readOnly: false },
      nics: [{ mac, name: 'eth0', address: '10.9.0.2', prefix: 24, mtu: 1500 }],
    }),
  );
  const prepared = performance.now();
  const cpu = await cpuOf(machine.record.process.pid);
  await guest.close();
  const console = await readFile(spec.consoleLog, 'utf8');
  if (console.includes('waiting for its configuration')) {
    throw new Error(`${name} booted instead of being cloned`);
  }
  const taken = {
    create: created - begin,
    agent: answered - created,
    prepare: prepared - answered,
    total: prepared - begin,
    cpuCreated,
    cpuAgent,
    cpu,
  };
  return { machine, taken };
};

/** User and system time of a process (proc(5), fields 14 and 15 of stat), in milliseconds. */
const cpuOf = async (pid: number): Promise<number> => {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
};
