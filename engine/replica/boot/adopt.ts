import { linkedController, orAbort } from '../../../base/abort.ts';
import { sleep } from '../../../base/deadline.ts';
import { HyprError, messageOf } from '../../../base/errors.ts';
import { isAlive, type ProcessIdentity } from '../../../base/host/process.ts';
import { logger } from '../../../base/log.ts';
import type { GuestClient } from '../../../guest/types.ts';
import type { Machine } from '../../../vmm/model/machine.ts';
import { openDockerSockets } from '../../machine/docker-sockets.ts';
import { openOutbound } from '../../machine/outbound.ts';
import { nextState } from '../../model/lifecycle.ts';
import type { Publication } from '../../model/platform.ts';
import type { SharedMachine } from '../../model/spec.ts';
import { publishPorts } from '../../resources/publish.ts';
import type { VmRow } from '../../state/records.ts';
import { GuestClock } from './guest-clock.ts';
import { type Joined, openMember } from './join-machine.ts';
import { type BootContext, machineDir, type Run } from './run.ts';

const log = logger('adopt');

const AGENT_DEADLINE_MS = 30_000;
const LOOK_MS = 1_000;

export interface AdoptedRun {
  readonly run: Run;
  readonly publications: readonly Publication[];
  /** Called when a published port was taken in the meantime: the machine runs on without it. */
  readonly problem: string | undefined;
}

export interface AdoptContext extends BootContext {
  /** Called when its machine lives and cannot be taken over; it is left as it is, and waited for. */
  readonly onKept: (reason: unknown) => void;
}

/**
 * Takes over the machine and workload of a row. Undefined when there is no machine any more, or nothing was started in it; its remains
 * are removed then. A machine that does not answer is waited for until it does, ends, or the signal aborts: it may be held by its host,
 * and has data that is on no disk yet. So is one that cannot be taken over, because its monitor is out of reach or its agent speaks
 * another protocol. An abort leaves it as it is.
 */
export const adoptRun = async (row: VmRow, context: AdoptContext, signal: AbortSignal): Promise<AdoptedRun | undefined> => {
  if (row.spec.shares !== undefined) {
    return adoptMember(row, row.spec.shares, context, signal);
  }
  const machine = await adoptMachine(row, context, signal);
  if (machine === undefined) {
    return undefined;
  }
  context.onMachine(machine);
  const run = await adoptGuest(row, machine, context, signal).catch(async (error: unknown) => {
    if (signal.aborted) {
      machine.release();
      throw error;
    }
    log.warn('cannot adopt', { replica: row.name, error: messageOf(error) });
    await endOrKeep(row, machine, { error, context }, signal);
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

/** That of a replica in the machine of another, which is taken over before. */
const adoptMember = async (
  row: VmRow,
  shares: SharedMachine,
  context: BootContext,
  signal: AbortSignal,
): Promise<AdoptedRun | undefined> => {
  let joined: Joined | undefined;
  try {
    await orAbort(context.sharing.adopted(shares.replica), signal);
    joined = await untilInTime(() => openMember(row, shares, context, signal), signal);
    const run = await attach(row, joined.machine, joined.guest, signal);
    await openHostServices(joined.guest, row, context, signal);
    return { run, publications: [], problem: undefined };
  } catch (error) {
    if (signal.aborted) {
      await joined?.guest.close().catch(() => {});
      throw error;
    }
    log.warn('cannot adopt', { replica: row.name, error: messageOf(error) });
    await joined?.machine.kill();
    return undefined;
  }
};

/** Leaves a run as it is that was found and cannot be taken over, and lets go of its guest. Resolves when its machine has ended. */
export const keepRun = async (
  row: VmRow,
  { run }: Pick<AdoptedRun, 'run'>,
  { error, onKept }: { readonly error: unknown } & Pick<AdoptContext, 'onKept'>,
  signal: AbortSignal,
): Promise<void> => {
  log.warn('cannot adopt', { replica: row.name, error: messageOf(error) });
  await run.guest.close().catch(() => {});
  onKept(error);
  await endOf(run.machine, signal);
};

/** Resolves when the machine has ended: at once where nothing was started in it. */
const endOrKeep = async (
  row: VmRow,
  machine: Machine,
  { error, context }: { readonly error: unknown; readonly context: AdoptContext },
  signal: AbortSignal,
): Promise<void> => {
  const code = error instanceof HyprError ? error.code : undefined;
  if (code === 'STACK_NOT_RUNNING') {
    await machine.kill();
  } else if (code !== 'VMM_DIED') {
    if (row.state === 'paused') {
      // It ran for the handshake only.
      await machine.pause(signal).catch((reason: unknown) => log.warn('runs on', { replica: row.name, error: messageOf(reason) }));
    }
    context.onKept(error);
  }
  await endOf(machine, signal);
};

/** Waits for the end of a machine and removes what is left of it. An abort leaves it as it is. */
const endOf = async (machine: Machine, signal: AbortSignal): Promise<void> => {
  try {
    await orAbort(machine.exited, signal);
  } catch (reason) {
    machine.release();
    throw reason;
  }
  await machine.delete();
};

const adoptMachine = async (row: VmRow, { platform, onKept }: AdoptContext, signal: AbortSignal): Promise<Machine | undefined> => {
  const { machine: record } = row;
  if (record === undefined) {
    // Its supervisor may have been killed while the machine started: leftover processes would hold its disks.
    await platform.vmm.sweepPending?.(machineDir(row, platform));
    return undefined;
  }
  try {
    const machine = await untilInTime(() => platform.vmm.adopt(record, signal), signal);
    if (machine !== undefined) {
      return machine;
    }
  } catch (error) {
    signal.throwIfAborted();
    log.warn('cannot adopt', { replica: row.name, error: messageOf(error) });
    if (isAlive(record.process)) {
      onKept(error);
      await processEnd(record.process, signal);
    }
  }
  await platform.vmm.sweep(record);
  return undefined;
};

/** A process that is not our child, and whose monitor is out of reach, tells nobody of its end: it is looked at. */
const processEnd = async (process: ProcessIdentity, signal: AbortSignal): Promise<void> => {
  while (isAlive(process)) {
    await sleep(LOOK_MS, signal);
  }
};

/** Rejects when the machine ends first. */
const adoptGuest = async (row: VmRow, machine: Machine, context: BootContext, signal: AbortSignal): Promise<Run> => {
  const untilEnd = linkedController(signal);
  void machine.exited.then(() => untilEnd.abort(new HyprError('VMM_DIED', `the machine of ${row.name} has ended`)));
  const { signal: living } = untilEnd;
  let stood = false;
  machine.onResume?.(() => {
    stood = true;
  });
  // A paused guest cannot answer, so it runs for the handshake. Any guest may be paused: its last supervisor may have been suspending it.
  await untilInTime(() => machine.resume(living), living);
  const run = await untilInTime(() => greetGuest(row, machine, context, living), living);
  if (stood && row.state !== 'paused') {
    await new GuestClock(row).set(run.guest);
  }
  return run;
};

const greetGuest = async (row: VmRow, machine: Machine, context: BootContext, signal: AbortSignal): Promise<Run> => {
  if (row.state === 'paused') {
    // It may have been paused again by a call whose answer was late. Others are not resumed twice: one that is held for a full disk is not, then.
    await machine.resume(signal);
  }
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

/** Asks again as often as the answer is late. Each request has a deadline of its own, so this asks about twice a minute. */
const untilInTime = async <T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> => {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof HyprError && error.code === 'HYPR_TIMEOUT')) {
        throw error;
      }
    }
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
