import { constants } from 'node:os';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { traced } from '../../base/trace/trace.ts';
import type { GuestProcess, ProcessExit } from '../../guest/types.ts';
import type { MachineExit } from '../../vmm/model/machine.ts';
import { JoinedMachine } from '../machine/joined-machine.ts';
import { nextState } from '../model/lifecycle.ts';
import { borrowersOf } from '../resources/volume-users.ts';
import type { VmRow } from '../state/records.ts';
import type { Run } from './boot/run.ts';
import type { ReplicaParts } from './parts/parts.ts';
import type { EndByPolicy } from './parts/restarts.ts';
import { endedPatch, hasLeft, keepsNothing, unbootedPatch } from './parts/status.ts';

const log = logger('replica');

const { SIGTERM } = constants.signals;
/** How long a machine whose agent went silent has to end on its own, so that the true cause is known. */
const LOST_MS = 5_000;

/** Ends the runs of a replica, on their own or on request: records the end and removes what belongs to the run. */
export class ReplicaEnd {
  readonly #parts: ReplicaParts;
  readonly #byPolicy: (ended: Partial<VmRow>) => EndByPolicy;
  /** Settles when the end of the current workload is recorded. Never rejects. */
  #ending: Promise<void> | undefined;
  /** True between the two halves of a restart on a new network: the restart policy does not apply. */
  #replacing = false;

  constructor(parts: ReplicaParts, byPolicy: (ended: Partial<VmRow>) => EndByPolicy) {
    this.#parts = parts;
    this.#byPolicy = byPolicy;
  }

  get #row(): VmRow {
    return this.#parts.record.row;
  }

  /** Resolves when the end of the current run is recorded; at once when there is none. */
  async recorded(): Promise<void> {
    await this.#ending;
  }

  /** Records the end of a workload when it comes, for whatever reason. */
  follow(run: Run, process: GuestProcess): void {
    this.#ending = this.#awaitEnd(run, process).catch((error: unknown) =>
      log.error('the end of a run was not recorded', { replica: this.#row.name, error: messageOf(error) }),
    );
  }

  /** Waits for the workload or the machine to end, records how, and restarts by policy. */
  async #awaitEnd(run: Run, process: GuestProcess): Promise<void> {
    const { record, output, powerDowns } = this.#parts;
    const exit = await Promise.race([process.exited.catch(() => undefined), run.machine.exited.then(() => undefined)]);
    // After a release, removal or suspend only this connection has ended.
    if (record.isOver || this.#parts.run !== run) {
      return;
    }
    if (exit !== undefined) {
      await Promise.race([output.delivered(), run.machine.exited]);
      await this.#endMachine(run);
    } else {
      // Either the machine or the channel has ended, and the other one follows soon.
      await run.machine.stop(powerDowns.of(run) ? powerDowns.longest(this.#row.spec.stopGraceMs) : LOST_MS);
    }
    const said = (await powerDowns.of(run))?.workload;
    await this.#finish(run, exit ?? said, await run.machine.exited);
  }

  /** Those that cannot go on without its machine have ended before, where they are to end. */
  async #stopOthers(graceMs: number): Promise<void> {
    const { sharing, store, vms } = this.#parts.context;
    await sharing.stopMembers(this.#row.name);
    await sharing.awaitStopping(borrowersOf(this.#row, vms(), store.volumes()), graceMs);
  }

  /** A one-off whose disks are removed with it has nothing to sync. */
  async #endMachine(run: Run): Promise<void> {
    const { output, powerDowns } = this.#parts;
    await this.#stopOthers(0);
    if (keepsNothing(this.#row) && powerDowns.of(run) === undefined) {
      await output.finish();
      await run.machine.kill();
    } else {
      await powerDowns.start(run, { stopSignal: SIGTERM, graceMs: 0 });
    }
  }

  async #finish(run: Run, exit: ProcessExit | undefined, gone: MachineExit): Promise<void> {
    const { record, output, context } = this.#parts;
    await this.cleanUp(run);
    await output.finish();
    const ended = endedPatch(this.#row, exit, gone);
    // What ended with a machine that it shares starts again with it, not by itself.
    const together = run.machine instanceof JoinedMachine && run.machine.endedWithHost && !this.#row.stoppedByUser && !this.#row.oneOff;
    this.#parts.startsWithOwner ||= together;
    const { patch, begin } = this.#replacing || together ? { patch: ended, begin: () => {} } : this.#byPolicy(ended);
    record.update(patch);
    record.emit('die');
    this.#ending = undefined;
    begin();
    this.leaveIfOver();
    context.onChange();
  }

  /** `run --rm`: removes a replica that has ended for good. */
  leaveIfOver(): void {
    const { record, context } = this.#parts;
    if (hasLeft(this.#row) && !this.#replacing && !record.isOver) {
      context.onLeft(this.#row.name);
    }
  }

  /** Closes and removes everything that belongs to a run; the row names the machine until that is done. */
  async cleanUp(run: Run): Promise<void> {
    run.abort.abort();
    await run.guest.close().catch(() => {});
    await traced('clean up', this.#row.name, async () => {
      await run.machine.delete().catch((error: unknown) => log.warn('leftovers', { replica: this.#row.name, error: messageOf(error) }));
      await this.#parts.publications.close();
    });
    if (this.#parts.run === run) {
      this.#parts.run = undefined;
    }
  }

  /** Graceful: stop signal, grace period, then force. Ends with the machine gone. */
  async stop(graceMs: number): Promise<void> {
    const { run, record, powerDowns, context } = this.#parts;
    if (run === undefined) {
      await this.#ending;
      return;
    }
    if (this.#row.state === 'paused') {
      await run.machine.resume().catch(() => {});
    }
    await this.#stopOthers(graceMs);
    record.update({ state: nextState(this.#row.state, 'stop') });
    run.abort.abort();
    await powerDowns.start(run, { stopSignal: this.#row.spec.stopSignal, graceMs });
    if (run.process !== undefined) {
      await this.#ending;
      record.emit('stop');
    } else {
      await this.cleanUp(run);
      record.update(unbootedPatch(this.#row));
      context.onChange();
    }
  }

  /** The first half of a restart: neither the restart policy nor `run --rm` applies. */
  async stopToStartAgain(): Promise<void> {
    this.#replacing = true;
    await this.stop(this.#row.spec.stopGraceMs).finally(() => {
      this.#replacing = false;
    });
  }

  /** As the machine ends that it shares, with which it starts again unless it is a one-off. */
  async stopWithOwner(): Promise<void> {
    if (this.#row.oneOff) {
      await this.stop(this.#row.spec.stopGraceMs);
    } else if (this.#parts.run?.process !== undefined) {
      this.#parts.startsWithOwner = !this.#row.stoppedByUser;
      await this.stopToStartAgain();
    } else {
      await this.stop(0);
    }
  }

  /** Ends a machine that will resume from disk; for the workload nothing happens. */
  async letGo(run: Run): Promise<void> {
    this.#parts.run = undefined;
    await this.cleanUp(run);
    await this.#parts.output.finish();
    this.#ending = undefined;
  }
}
