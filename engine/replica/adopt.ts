import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { Machine } from '../../vmm/model/machine.ts';
import { nextState } from '../model/lifecycle.ts';
import type { Platform, Publication } from '../model/platform.ts';
import { publishPorts } from '../resources/publish.ts';
import type { VmRow } from '../state/records.ts';
import { type BootContext, machineDir, type Run } from './run.ts';

const log = logger('adopt');

const AGENT_DEADLINE_MS = 30_000;

export interface AdoptedRun {
  readonly run: Run;
  readonly publications: readonly Publication[];
  /** A port that somebody else took in the meantime: no reason to end a machine that runs. */
  readonly problem: string | undefined;
}

/**
 * Takes over the machine of a row with its workload. Undefined when there is none, or none that can be
 * talked to; what was left of it is removed then.
 */
export const adoptRun = async (row: VmRow, context: BootContext, signal: AbortSignal): Promise<AdoptedRun | undefined> => {
  const machine = await adoptMachine(row, context.platform, signal);
  if (machine === undefined) {
    return undefined;
  }
  const run = await adoptGuest(row, machine, context.platform, signal).catch(async (error: unknown) => {
    log.warn('cannot adopt', { replica: row.name, error: messageOf(error) });
    await machine.kill();
    await machine.delete();
  });
  if (run === undefined) {
    return undefined;
  }
  try {
    return { run, publications: await publishPorts(row, context, signal), problem: undefined };
  } catch (error) {
    return { run, publications: [], problem: messageOf(error) };
  }
};

const adoptMachine = async (row: VmRow, platform: Platform, signal: AbortSignal): Promise<Machine | undefined> => {
  if (row.machine === undefined) {
    // Its supervisor may have been killed while it began: what is left of that has its disks.
    await platform.vmm.sweepPending?.(machineDir(row, platform));
    return undefined;
  }
  try {
    const machine = await platform.vmm.adopt(row.machine, signal);
    if (machine !== undefined) {
      return machine;
    }
  } catch (error) {
    log.warn('cannot adopt', { replica: row.name, error: messageOf(error) });
  }
  await platform.vmm.sweep(row.machine);
  return undefined;
};

const adoptGuest = async (row: VmRow, machine: Machine, platform: Platform, signal: AbortSignal): Promise<Run> => {
  // A paused guest answers nobody: it runs for the moment of the handshake. Any may be: its last supervisor may have been about to suspend it.
  await machine.resume(signal);
  const guest = await platform.connectGuest(machine.record.agentSocket, { signal, timeout: AGENT_DEADLINE_MS });
  try {
    if (guest.info.state !== 'running' && guest.info.state !== 'exited') {
      throw new HyprError('STACK_NOT_RUNNING', `${row.name} had not been started`);
    }
    const process = await guest.attachWorkload(signal);
    if (row.state === 'paused') {
      await machine.pause(signal);
    }
    return { machine, guest, process, names: undefined, abort: new AbortController() };
  } catch (error) {
    await guest.close();
    throw error;
  }
};

/** The row of a replica that was taken over. */
export const adoptedPatch = (row: VmRow, adopted: AdoptedRun): Partial<VmRow> => ({
  // It was started, and the supervisor that did so was killed before it could say so.
  ...(row.state === 'starting' ? { state: nextState('starting', 'started'), startedAt: row.startedAt ?? Date.now() } : {}),
  published: adopted.publications.map((publication) => publication.port),
  ...(adopted.problem === undefined ? {} : { reason: adopted.problem }),
});
