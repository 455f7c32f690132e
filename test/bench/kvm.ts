import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { homePaths } from '../../base/paths.ts';
import { connectGuest } from '../../guest/client/client.ts';
import { chooseVmm } from '../../vmm/host/probe.ts';
import type { Machine, MachineSpec, Vmm } from '../../vmm/model/machine.ts';
import type { Toolchain } from '../../vmm/model/tools.ts';

const ANSWER_MS = 120_000;

export interface KvmBench {
  readonly toolchain: Toolchain;
  /** How many machines boot, are cloned one after the other, and stay as clones to see what a further one costs. */
  readonly boots: number;
  readonly clones: number;
  readonly idle: number;
  readonly write: (line: string) => void;
}

interface Row {
  readonly step: string;
  readonly ms: number;
  readonly counters: Readonly<Record<string, number>>;
  /** KiB that QEMU has touched, and calls of read and write that it made. */
  readonly kib: number;
  readonly calls: number;
}

/**
 * What a start costs beside time: exits of the guest by cause, memory touched, system calls. First what this host is, then a table to paste.
 * Where /dev/kvm does not work it measures software emulation and says so; exits are counted by KVM only.
 */
export const benchKvm = async ({ toolchain, boots, clones, idle, write }: KvmBench): Promise<void> => {
  const dir = await mkdtemp(join(tmpdir(), 'hypr-kvm-'));
  try {
    const begin = performance.now();
    const { vmm, verdict, templates } = await chooseVmm({ toolchain, paths: homePaths(dir) });
    write(
      `${cpus().length} × ${cpus()[0]?.model.trim()}, Linux ${release()}, QEMU ${toolchain.qemu.version}, ${vmm.name}: ${verdict.reason}`,
    );
    write(`probe ${since(begin)} ms`);
    const place = { dir, vmm };
    const rows: Row[] = [];
    for (let count = 1; count <= boots; count++) {
      rows.push(await measure(place, `boot ${count}`, { ...specOf(dir, `b${count}`), fallback: { start: 'boot', freshLayer: false } }));
    }
    const making = performance.now();
    await templates?.make(specOf(dir, 'template'));
    write(`template ${since(making)} ms`);
    for (let count = 1; count <= clones; count++) {
      rows.push(await measure(place, `clone ${count}`, specOf(dir, `c${count}`)));
      write(formatRow(rows.at(-1) as Row));
    }
    write(`memory of ${idle} idle clones: ${(await idleMemory(place, idle)).map((bytes) => (bytes / 2 ** 20).toFixed(1)).join(' ')} MiB`);
    write(
      `\n| step | ms | ${CAUSES.join(' | ')} | other | KiB touched | read and write calls |\n|---|${'---:|'.repeat(CAUSES.length + 4)}`,
    );
    rows
      .slice(0, boots + 2)
      .map(formatRow)
      .map(write);
    await templates?.close();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

interface Place {
  readonly dir: string;
  readonly vmm: Vmm;
}

const specOf = (dir: string, name: string): MachineSpec => ({
  name,
  runDir: join(dir, name),
  consoleLog: join(dir, `${name}.console`),
  vcpus: 1,
  memoryMib: 512,
  disks: [],
  nics: [],
  shares: [],
});

/** Starts a machine until its agent answers, and ends it. */
const measure = async ({ vmm }: Place, step: string, spec: MachineSpec): Promise<Row> => {
  const begin = performance.now();
  const machine = await vmm.create(spec, []);
  try {
    await answer(machine);
    const ms = since(begin);
    if (step.startsWith('clone') && machine.record.layout !== 'clone') {
      throw new Error(`${step} booted instead of being cloned`);
    }
    return { step, ms, counters: (await machine.counters?.()) ?? {}, ...(await readProcess(machine.record.process.pid)) };
  } finally {
    await machine.delete();
  }
};

const answer = async (machine: Machine): Promise<void> => {
  await machine.start();
  const died = machine.exited.then((exit) => {
    throw new Error(`the machine ended: ${JSON.stringify(exit)}`);
  });
  const guest = await Promise.race([connectGuest(machine.record.agentSocket, { timeout: ANSWER_MS }), died]);
  await guest.close();
};

const idleMemory = async ({ dir, vmm }: Place, idle: number): Promise<number[]> => {
  const machines: Machine[] = [];
  try {
    for (let count = 0; count < idle; count++) {
      const machine = await vmm.create(specOf(dir, `i${count}`), []);
      machines.push(machine);
      await answer(machine);
    }
    return await Promise.all(machines.map((machine) => machine.memory()));
  } finally {
    await Promise.all(machines.map((machine) => machine.delete()));
  }
};

/** proc(5): what a process has ever had in memory, and its calls of read(2) and write(2) and their kind. */
const readProcess = async (pid: number): Promise<Pick<Row, 'kib' | 'calls'>> => {
  const [status, io] = await Promise.all(['status', 'io'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')));
  const number = (text: string | undefined, name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text ?? '')?.[1] ?? 0);
  return { kib: number(status, 'VmHWM'), calls: number(io, 'syscr') + number(io, 'syscw') };
};

/** Of the counters of a processor, those that say why it left its guest. */
const CAUSES = ['exits', 'io_exits', 'mmio_exits', 'irq_exits', 'halt_exits', 'pf_taken'] as const;

const formatRow = ({ step, ms, counters, kib, calls }: Row): string => {
  const known = CAUSES.map((cause) => counters[cause] ?? 0);
  const [exits = 0, ...rest] = known;
  const other = exits - rest.reduce((sum, count) => sum + count, 0);
  return `| ${[step, ms, ...known, other, kib, calls].join(' | ')} |`;
};

const since = (begin: number): number => Math.round(performance.now() - begin);
