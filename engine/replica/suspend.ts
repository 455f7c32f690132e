import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Cleanup } from '../../base/cleanup.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { AwaitPort } from '../../net/ports/publish.ts';
import type { Machine, SavedMachine } from '../../vmm/model/machine.ts';
import { connectNics, networkNics } from '../machine/boot-machine.ts';
import { openDockerSockets } from '../machine/docker-sockets.ts';
import { openOutbound } from '../machine/outbound.ts';
import { nextState } from '../model/lifecycle.ts';
import { egressPolicy } from '../resolve/egress-policy.ts';
import { type FindGuest, publishPorts } from '../resources/publish.ts';
import type { SavedRun, VmRow } from '../state/records.ts';
import type { AdoptedRun } from './boot/adopt.ts';
import type { BootContext, Run } from './boot/run.ts';
import type { ReplicaContext, ReplicaRecord } from './parts/record.ts';

const log = logger('suspend');

const AGENT_DEADLINE_MS = 30_000;
/** For a guest that runs again until it is ours: whoever asked for it may go meanwhile, and must not take it with them. */
const TAKE_OVER_MS = 120_000;

export interface SuspensionOptions {
  readonly record: ReplicaRecord;
  readonly context: ReplicaContext;
  readonly run: () => Run | undefined;
  /** Ends a run while its workload lives on, on disk. */
  readonly letGo: (run: Run) => Promise<void>;
  readonly awaitPort: AwaitPort;
  readonly takeOver: (adopted: AdoptedRun, patch: Partial<VmRow>) => Promise<void>;
  /** Waits for a machine that runs again and does not answer in time, as for one that an earlier supervisor left. */
  readonly awaitSilent: () => Promise<void>;
}

/** Suspends a replica to disk (pause, save, suspend) and resumes it, once. */
export class Suspension {
  readonly #options: SuspensionOptions;
  /** The saved state, while the machine still exists. */
  #saved: SavedMachine | undefined;

  constructor(options: SuspensionOptions) {
    this.#options = options;
  }

  get #row(): VmRow {
    return this.#options.record.row;
  }

  /** Writes a paused machine's memory to the replica's folder. Throws HYPR_DISK_FULL, VMM_START. */
  async save(signal: AbortSignal): Promise<void> {
    const run = this.#options.run();
    if (run?.process === undefined || this.#row.state !== 'paused') {
      throw new HyprError('STACK_NOT_RUNNING', `${this.#row.name} is not running`);
    }
    if (this.#options.context.volumes.borrows(this.#row)) {
      throw new HyprError('HYPR_UNSUPPORTED', `${this.#row.name} cannot be suspended while another machine serves it a volume`, {
        hint: `stop ${this.#row.name}, and start it after the resume`,
      });
    }
    if (this.#row.spec.cards !== undefined) {
      throw new HyprError(
        'HYPR_UNSUPPORTED',
        `${this.#row.name} cannot be suspended: it has a card of the host, whose state stays in the card`,
        {
          hint: `stop ${this.#row.name}, and start it after the resume`,
        },
      );
    }
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    this.#saved = await run.machine.save(this.#path, signal);
  }

  /** Deletes what was saved, because the suspend failed elsewhere. */
  async unsave(): Promise<void> {
    if (this.#saved !== undefined) {
      this.#saved = undefined;
      await this.drop();
    }
  }

  /** Ends a machine that was saved. `paused`: it will be paused when it resumes. */
  async suspend(paused: boolean): Promise<void> {
    const { record, context, run: current, letGo } = this.#options;
    const [run, machine] = [current(), this.#saved];
    if (run === undefined || machine === undefined) {
      throw new HyprError('STACK_NOT_RUNNING', `${this.#row.name} ended while it was being suspended`);
    }
    // Recorded before the machine ends, so that a crash in between loses neither.
    record.update({ state: nextState(this.#row.state, 'suspend'), saved: { machine, paused } });
    this.#saved = undefined;
    await letGo(run);
    record.update({ machine: undefined });
    record.emit('suspend');
    context.onChange();
  }

  /** Ends the machine that a killed supervisor may have left in the middle of a suspend. */
  async finish(): Promise<void> {
    const { record, context } = this.#options;
    if (this.#row.machine !== undefined) {
      await context.platform.vmm.sweep(this.#row.machine);
      record.update({ machine: undefined });
    }
  }

  /**
   * Resumes where it was suspended. Returns the reason if its memory is of no use: the replica then counts as ended, with its disks
   * unchanged. Throws what fails before the guest runs, and then nothing has changed and it can be tried again; with `giveUp`
   * that ends it, too. A guest that runs again and does not answer has its memory nowhere else: it is not ended, but waited for.
   */
  async resume(signal: AbortSignal, { giveUp = false } = {}): Promise<string | undefined> {
    const { record, context, takeOver, awaitPort, awaitSilent } = this.#options;
    const { saved } = this.#row;
    if (saved === undefined) {
      throw new HyprError('STACK_NOT_RUNNING', `${this.#row.name} is not suspended`);
    }
    // The guest runs from here on, so the state on disk is out of date.
    const onMachine: BootContext['onMachine'] = (machine) =>
      record.update({ machine: machine.record, saved: undefined, state: nextState(this.#row.state, 'resume') });
    try {
      const restored = await restoreRun({ row: this.#row, saved, context: { ...context, onMachine, awaitPort } }, signal);
      const patch = saved.paused ? { state: nextState('running', 'pause') } : {};
      if (restored === 'silent') {
        record.update(patch);
        await awaitSilent();
      } else {
        await takeOver(restored, patch);
      }
      record.emit('resume');
      return undefined;
    } catch (error) {
      const isUseless = error instanceof HyprError && error.code === 'VMM_SAVED';
      if (this.#row.saved !== undefined && (signal.aborted || !(giveUp || isUseless))) {
        throw signal.aborted ? error : withoutLoss(this.#row, error);
      }
      const reason = messageOf(error);
      log.warn('what was suspended is lost', { replica: this.#row.name, reason });
      record.update({ state: 'exited', machine: undefined, saved: undefined, reason, finishedAt: Date.now(), health: 'none' });
      return reason;
    } finally {
      if (this.#row.saved === undefined) {
        await this.drop();
      }
      context.onChange();
    }
  }

  async drop(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  get #path(): string {
    return join(this.#options.context.volumes.replicaDir(this.#row.name), 'saved');
  }
}

interface RestoreInput {
  readonly row: VmRow;
  readonly saved: SavedRun;
  readonly context: BootContext;
}

const withoutLoss = ({ name, service }: VmRow, error: unknown): HyprError =>
  new HyprError(error instanceof HyprError ? error.code : 'VMM_START', `${name} cannot go on now: ${messageOf(error)}`, {
    hint: `its memory is kept, try again; to give it up and start afresh: hypr compose stop ${service}, then up`,
    cause: error,
  });

/**
 * Resumes the machine with its workload and its ports. After a failure no machine is left; one that is `silent` runs and has not answered in
 * time. `asked` counts until the guest runs.
 */
const restoreRun = async ({ row, saved, context }: RestoreInput, asked: AbortSignal): Promise<AdoptedRun | 'silent'> => {
  const { platform } = context;
  const cleanup = new Cleanup();
  let running: Machine | undefined;
  try {
    const networks = await Promise.all(row.spec.networks.map((attachment) => context.networks.ensure(attachment.key, asked)));
    const leased = context.networks.lease(row);
    const nics = networkNics({
      name: row.name,
      nics: leased,
      peers: context.policies.connecting(row, leased),
      hosts: context.networks.extraHosts(row.spec),
      networks,
      egress: egressPolicy(row.spec),
    });
    const machine = await platform.vmm.restore(saved.machine, await connectNics(networks, nics, asked), asked);
    cleanup.defer(() => machine.delete());
    context.onMachine(machine);
    const signal = AbortSignal.timeout(TAKE_OVER_MS);
    running = machine;
    await machine.resume(signal);
    const guest = await platform.connectGuest(machine.record.agentSocket, { signal, timeout: AGENT_DEADLINE_MS });
    cleanup.defer(() => guest.close());
    await guest.setClock(Date.now());
    const process = await guest.attachWorkload(signal);
    await openOutbound(guest, row, context, signal);
    await openDockerSockets(guest, row, context, signal);
    if (saved.paused) {
      await machine.pause(signal);
    }
    const ports = await publishAgain(row, { ...context, guest: () => guest }, signal);
    cleanup.disarm();
    return { run: { machine, guest, process, names: undefined, env: row.env ?? [], abort: new AbortController() }, ...ports };
  } catch (error) {
    if (running !== undefined && error instanceof HyprError && error.code === 'HYPR_TIMEOUT') {
      log.warn('resumed, and does not answer', { replica: row.name, error: messageOf(error) });
      cleanup.disarm();
      running.release();
      return 'silent';
    }
    await cleanup.run().catch(() => {});
    throw error;
  }
};

/** A port that was taken in the meantime is only a warning: the machine runs on. */
const publishAgain = async (
  row: VmRow,
  context: BootContext & { readonly guest: FindGuest },
  signal: AbortSignal,
): Promise<Pick<AdoptedRun, 'publications' | 'problem'>> => {
  try {
    return { publications: await publishPorts(row, context, signal), problem: undefined };
  } catch (error) {
    return { publications: [], problem: messageOf(error) };
  }
};
