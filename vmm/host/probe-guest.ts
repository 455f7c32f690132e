import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { linkedController } from '../../base/abort.ts';
import { sleep, withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { runtimeDir } from '../../base/paths.ts';
import { connectGuest } from '../../guest/client/client.ts';
import type { Machine, Vmm } from '../model/machine.ts';

export interface ProbePatience {
  /** Milliseconds in which the guest must have touched further memory. */
  readonly stallMs: number;
  /** Milliseconds for the whole boot. */
  readonly totalMs: number;
}

/**
 * A guest under KVM is ready in well under a second, and in minutes where the host's KVM is emulated itself. One on a broken KVM never is.
 * What tells them apart is progress: a kernel that boots touches new memory all the time, one that hangs does not.
 */
const PATIENCE: ProbePatience = { stallMs: 15_000, totalMs: 300_000 };

/** Less is the program's own: libraries that other processes begin or cease to share. */
const PROGRESS_BYTES = 256 << 10;
const LOOK_MS = 500;

/**
 * Boots a bare machine until its agent answers; gives the milliseconds. Throws VMM_DIED when it ends, HYPR_TIMEOUT when it makes no
 * progress or takes too long.
 */
export const runProbeGuest = async (vmm: Vmm, signal?: AbortSignal, patience = PATIENCE): Promise<number> => {
  const dir = await mkdtemp(join(runtimeDir(), 'probe-'));
  const begin = Date.now();
  try {
    const machine = await vmm.create(bareMachine(dir), [], signal);
    try {
      await machine.start(signal);
      await withDeadline({ ms: patience.totalMs, what: 'the probe guest', signal }, (deadline) => awaitAgent(machine, deadline, patience));
      return Date.now() - begin;
    } finally {
      await machine.delete();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

const bareMachine = (dir: string) => ({
  name: 'probe',
  runDir: join(dir, 'm'),
  consoleLog: join(dir, 'console'),
  vcpus: 1,
  memoryMib: 256,
  disks: [],
  nics: [],
  shares: [],
});

const awaitAgent = async (machine: Machine, deadline: AbortSignal, { stallMs, totalMs }: ProbePatience): Promise<void> => {
  const done = linkedController(deadline);
  const died = machine.exited.then((exit) => {
    throw new HyprError('VMM_DIED', exit.detail ?? exit.reason, { details: exit.lastLines });
  });
  const agent = connectGuest(machine.record.agentSocket, { signal: done.signal, timeout: totalMs });
  try {
    const guest = await Promise.race([agent, died, awaitStall(machine, done.signal, stallMs)]);
    await guest.close();
  } finally {
    done.abort();
    agent.catch(() => {});
  }
};

/** Rejects when the machine has touched no further memory for a while. Nothing tells of it, so it is looked at. */
const awaitStall = async (machine: Pick<Machine, 'memory'>, signal: AbortSignal, stallMs: number): Promise<never> => {
  let [most, since] = [0, Date.now()];
  for (;;) {
    await sleep(LOOK_MS, signal);
    const bytes = await machine.memory();
    if (bytes > most + PROGRESS_BYTES) {
      [most, since] = [bytes, Date.now()];
    } else if (Date.now() - since > stallMs) {
      throw new HyprError('HYPR_TIMEOUT', `the probe guest made no progress for ${Math.round(stallMs / 1000)} s`);
    }
  }
};
