import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { GuestClient } from '../../guest/types.ts';
import type { Machine } from '../../vmm/model/machine.ts';
import { openDockerSockets } from '../machine/docker-sockets.ts';
import { openOutbound } from '../machine/outbound.ts';
import { nextState } from '../model/lifecycle.ts';
import type { Platform, Publication } from '../model/platform.ts';
import type { SharedMachine } from '../model/spec.ts';
import { publishPorts } from '../resources/publish.ts';
import type { VmRow } from '../state/records.ts';
import { type Joined, openMember } from './boot/join-machine.ts';
import { type BootContext, machineDir, type Run } from './boot/run.ts';

const log = logger('adopt');

const AGENT_DEADLINE_MS = 30_000;

export interface AdoptedRun {
  readonly run: Run;
  readonly publications: readonly Publication[];
  /** Called when a published port was taken in the meantime: the machine runs on without it. */
  readonly problem: string | undefined;
}

/**
 * Takes over the machine and workload of a row. Undefined when there is no machine, or its agent does not answer; its remains
 * are removed then.
 */
export const adoptRun = async (row: VmRow, context: BootContext, signal: AbortSignal): Promise<AdoptedRun | undefined> => {
  if (row.spec.shares !== undefined) {
    return adoptMember(row, row.spec.shares, context, signal);
  }
  const machine = await adoptMachine(row, context.platform, signal);
  if (machine === undefined) {
    return undefined;
  }
  const run = await adoptGuest(row, machine, context, signal).catch(async (error: unknown) => {
    log.warn('cannot adopt', { replica: row.name, error: messageOf(error) });
    await machine.kill();
    await machine.delete();
  });
  if (run === undefined) {
    return undefined;
  }
  try {
    return { run, publications: await publishPorts(row, { ...context, guest: () => run.guest }, signal), problem: undefined };
  } catch (error) {
    return { run, publications: [], problem: messageOf(error) };
  }
};

/** That of a replica in the machine of another, which was taken over before. */
const adoptMember = async (
  row: VmRow,
  shares: SharedMachine,
  context: BootContext,
  signal: AbortSignal,
): Promise<AdoptedRun | undefined> => {
  let joined: Joined | undefined;
  try {
    joined = await openMember(row, shares, context, signal);
    const run = await attach(row, joined.machine, joined.guest, signal);
    await openHostServices(joined.guest, row, context, signal);
    return { run, publications: [], problem: undefined };
  } catch (error) {
    log.warn('cannot adopt', { replica: row.name, error: messageOf(error) });
    await joined?.machine.kill();
    return undefined;
  }
};

const adoptMachine = async (row: VmRow, platform: Platform, signal: AbortSignal): Promise<Machine | undefined> => {
  if (row.machine === undefined) {
    // Its supervisor may have been killed while the machine started: leftover processes would hold its disks.
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

const adoptGuest = async (row: VmRow, machine: Machine, context: BootContext, signal: AbortSignal): Promise<Run> => {
  // A paused guest cannot answer, so it runs for the handshake. Any guest may be paused: its last supervisor may have been suspending it.
  await machine.resume(signal);
  const guest = await context.platform.connectGuest(machine.record.agentSocket, { signal, timeout: AGENT_DEADLINE_MS });
  try {
    const run = await attach(row, machine, guest, signal);
    await openHostServices(guest, row, context, signal);
    if (row.state === 'paused') {
      await machine.pause(signal);
    }
    return run;
  } catch (error) {
    await guest.close();
    throw error;
  }
};

/** Without them the machine runs on. */
const openHostServices = async (guest: GuestClient, row: VmRow, context: BootContext, signal: AbortSignal): Promise<void> => {
  const { name } = row;
  await openOutbound(guest, row, context, signal).catch((error: unknown) =>
    log.warn('no way out', { replica: name, error: messageOf(error) }),
  );
  await openDockerSockets(guest, row, context, signal).catch((error: unknown) =>
    log.warn("nobody answers at docker's socket", { replica: name, error: messageOf(error) }),
  );
};

const attach = async (row: VmRow, machine: Machine, guest: Run['guest'], signal: AbortSignal): Promise<Run> => {
  if (guest.info.state !== 'running' && guest.info.state !== 'exited') {
    throw new HyprError('STACK_NOT_RUNNING', `${row.name} had not been started`);
  }
  const process = await guest.attachWorkload(signal);
  return { machine, guest, process, names: undefined, env: row.env ?? [], abort: new AbortController() };
};

/** The row of a replica that was taken over. */
export const adoptedPatch = (row: VmRow, adopted: AdoptedRun): Partial<VmRow> => ({
  // The workload was started, but its supervisor was killed before it recorded that.
  ...(row.state === 'starting' ? { state: nextState('starting', 'started'), startedAt: row.startedAt ?? Date.now() } : {}),
  published: adopted.publications.map((publication) => publication.port),
  ...(adopted.problem === undefined ? {} : { reason: adopted.problem }),
});
