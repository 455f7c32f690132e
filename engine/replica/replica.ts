import { constants } from 'node:os';
import type { OutputTap } from '../logs/output-tap.ts';
import type { ProbeResult } from '../machine/health.ts';
import type { Listener, ReplicaStatus } from '../model/events.ts';
import { nextState } from '../model/lifecycle.ts';
import type { NetworkAttachment, ReplicaUpdate } from '../model/object-types.ts';
import type { AnonymousFate } from '../model/volume-name.ts';
import type { VmRow } from '../state/records.ts';
import type { Adoption } from './adoption.ts';
import { bootAtRest, type MachineAtRest } from './boot/at-rest.ts';
import type { Run } from './boot/run.ts';
import { connectReplica, disconnectReplica } from './change-networks.ts';
import { type Controlled, pauseRun, signalRun, unpauseRun } from './controls.ts';
import { refuseUnsynced } from './edits/synced-folders.ts';
import { ReplicaEnd } from './end.ts';
import { gatherParts, type ReplicaParts } from './parts/parts.ts';
import type { ReplicaContext } from './parts/record.ts';
import type { Expectation } from './parts/responsiveness.ts';
import { Healing, ReplicaRestarts } from './parts/restarts.ts';
import { isAtRest } from './parts/status.ts';
import { ReplicaRecovery } from './recovery.ts';
import { ReplicaStart } from './start.ts';
import { Suspension } from './suspend.ts';
import { updatedSpec } from './updated-spec.ts';

export type { ReplicaContext } from './parts/record.ts';

const { SIGKILL } = constants.signals;
/** How long a suspended machine has to resume before it is stopped. */
const RESUME_MS = 60_000;

/**
 * One replica of a service and everything that runs for it. Its row in the database is always up to date. Plans call it
 * one operation at a time; what it does on its own (`attempts`) is interrupted by them.
 */
export class Replica {
  readonly #parts: ReplicaParts;
  readonly #start: ReplicaStart;
  readonly #end: ReplicaEnd;
  readonly #restarts: ReplicaRestarts;
  readonly #controlled: Controlled;
  /** To disk and back. */
  readonly suspension: Suspension;
  /** What an earlier supervisor left of it. */
  readonly recovery: ReplicaRecovery;
  #removing: Promise<void> | undefined;

  constructor(row: VmRow, context: ReplicaContext) {
    const parts = gatherParts(row, context);
    const { record, attempts } = parts;
    this.#parts = parts;
    this.#end = new ReplicaEnd(parts, (ended) => this.#restarts.byPolicy(ended));
    this.#start = new ReplicaStart(parts, this.#end);
    this.#restarts = new ReplicaRestarts(record, attempts, { bringUp: (signal) => this.#bringUp(signal), onChange: context.onChange });
    const run = () => {
      this.adoption.refuse();
      return parts.run;
    };
    this.#controlled = { record, run };
    const healing = new Healing({ record, health: parts.health, restarts: this.#restarts }, (signal) => this.#startAnew(signal));
    parts.health.onUnhealthy = () => healing.ifAsked();
    this.suspension = new Suspension({
      record,
      context,
      run,
      awaitPort: parts.listeners.awaitPort,
      letGo: (run) => this.#end.letGo(run),
      takeOver: (adopted, patch) => this.#start.takeOver(adopted, patch),
      awaitSilent: () => this.recovery.awaitResumed(),
    });
    const stop = (options: { graceMs: number; byUser: boolean }) => this.stop(options);
    this.recovery = new ReplicaRecovery(parts, { adoption: this.adoption, end: this.#end, restarts: this.#restarts, stop });
  }

  get row(): VmRow {
    return this.#parts.record.row;
  }

  get run(): Run | undefined {
    return this.#parts.run;
  }

  get lastProbe(): ProbeResult | undefined {
    return this.#parts.health.last;
  }

  /** Whether a plan has booted it and its workload is not started yet. */
  get isHeld(): boolean {
    return this.run !== undefined && this.run.process === undefined && !this.#parts.attempts.isRunning;
  }

  /** Whether nothing of it runs, nor will by itself; one that shares a machine has its disks there. */
  get isAtRest(): boolean {
    return isAtRest(this.row, this.run);
  }

  /** Whether its guest is known not to answer. */
  get isSilent(): boolean {
    return this.#parts.record.silentSince !== undefined;
  }

  /** What listens in it now. */
  get listeners(): readonly Listener[] {
    return this.#parts.record.listeners;
  }

  /** For what needs the guest, so that it does not wait for one that hangs. Throws GUEST_SILENT. */
  expectAnswer(signal: AbortSignal): Expectation {
    return this.#parts.responsiveness.expect(signal);
  }

  /** The taking over of a run that an earlier supervisor started. */
  get adoption(): Adoption {
    return this.#start.adoption;
  }

  status(): ReplicaStatus {
    return this.#parts.record.status();
  }

  /** Records a new replica and reserves its addresses. */
  create(): void {
    const { context, record } = this.#parts;
    context.store.putVm(this.row);
    context.networks.lease(this.row);
    record.emit('create');
    context.onChange();
  }

  /** Takes the published ports, boots the machine and prepares it, all before any dependency is ready. */
  async boot(signal: AbortSignal): Promise<void> {
    await this.#parts.attempts.interrupt(`${this.row.name} is being started`);
    // A restart by policy may have been faster.
    if (this.run === undefined) {
      await this.#start.boot(signal);
    }
  }

  /** Starts the workload in the booted machine, which boots again if it was lost while it waited, and who shares it. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#start.start(signal);
    this.#parts.context.sharing.startMembers(this.row.name);
  }

  async #bringUp(signal: AbortSignal): Promise<void> {
    await this.#start.boot(signal);
    await this.start(signal);
  }

  /** Records its machine as it is now, with another disk or one less. */
  noteMachine(): void {
    if (this.run !== undefined) {
      this.#parts.record.update({ machine: this.run.machine.record });
    }
  }

  /** Its machine is another's, which is about to end. */
  async stopWithOwner(): Promise<void> {
    await this.#parts.attempts.interrupt(`the machine of ${this.row.name} ends`);
    await this.#start.bootEnded();
    await this.#end.stopWithOwner();
  }

  /** The machine that it ended with runs again. */
  startWithOwner(): void {
    if (this.#parts.startsWithOwner) {
      void this.#restarts.run((signal) => this.#bringUp(signal));
    }
  }

  /** Graceful stop: stop signal, grace period, then force. Ends with the machine gone. */
  async stop(options: { graceMs: number; byUser: boolean }): Promise<void> {
    const { record, attempts, context } = this.#parts;
    if (options.byUser && !this.row.stoppedByUser) {
      record.update({ stoppedByUser: true });
    }
    await attempts.interrupt(`${this.row.name} is being stopped`);
    await this.#start.bootEnded();
    await this.#endSilent(options.graceMs);
    if (this.row.state === 'restarting') {
      record.update({ state: nextState('restarting', 'stop') });
      record.emit('stop');
      context.onChange();
      return;
    }
    if (this.row.state === 'suspended') {
      // Its memory holds data that its disks lack, so it resumes and shuts down properly.
      await this.suspension.resume(AbortSignal.timeout(RESUME_MS), { giveUp: true });
      await this.#endSilent(options.graceMs);
    }
    await this.#end.stop(options.graceMs);
  }

  /** `kill -s`: sends the signal to the workload. SIGKILL ends the run and cancels a pending restart. */
  async kill(signal: number): Promise<void> {
    if (signal === SIGKILL && this.adoption.isPending) {
      this.#parts.record.update({ stoppedByUser: true });
      await this.adoption.kill();
      return this.#end.leaveIfOver();
    }
    if (signal === SIGKILL && this.run?.process === undefined && (this.row.state === 'starting' || this.row.state === 'restarting')) {
      return this.stop({ graceMs: 0, byUser: true });
    }
    await signalRun(this.#controlled, signal);
    if (signal === SIGKILL) {
      await this.#end.recorded();
    }
  }

  /** A machine for its files alone, while it is at rest. */
  async bootAtRest(options: { readonly volumes: boolean }, signal: AbortSignal): Promise<MachineAtRest> {
    await this.#start.bootEnded();
    return bootAtRest(this.row, options, this.#parts.context, signal);
  }

  /** Puts it on one more network, or takes it off one: at once while it runs (change-networks.ts). */
  connect(network: { readonly name: string; readonly wanted: NetworkAttachment }, signal: AbortSignal): Promise<void> {
    return connectReplica(this.#parts, network, signal);
  }

  disconnect(name: string, signal: AbortSignal): Promise<void> {
    return disconnectReplica(this.#parts, name, signal);
  }

  /** Its restart policy at once, its size from its next start on. Throws HYPR_UNSUPPORTED for a size while it runs. */
  update(update: ReplicaUpdate): void {
    this.#parts.record.update({ spec: updatedSpec(this.row, update) });
  }

  /** A machine that does not answer may do so while it is to stop; then it is ended. */
  async #endSilent(graceMs: number): Promise<void> {
    if (this.adoption.isPending) {
      await this.adoption.endWithin(graceMs);
      this.#end.leaveIfOver();
    }
  }

  readonly pause = (): Promise<void> => pauseRun(this.#controlled);

  async unpause(): Promise<void> {
    await unpauseRun(this.#controlled);
    // Sends the names that changed while it was paused.
    this.#parts.context.onChange();
  }

  /** Stops and starts it whatever the restart policy says, because its network was replaced. Rejects if it does not start. */
  async startAgain(): Promise<void> {
    if (this.isHeld) {
      // The plan that booted it boots it again when it is to be started.
      return this.#end.stop(0);
    }
    await this.#parts.attempts.interrupt(`${this.row.name} starts again`);
    const failure = await this.#restarts.run((signal) => this.#startAnew(signal));
    if (failure !== undefined) {
      throw failure;
    }
  }

  async #startAnew(signal: AbortSignal): Promise<void> {
    await this.#endSilent(this.row.spec.stopGraceMs);
    await this.#end.stopToStartAgain();
    if (!signal.aborted && !this.#parts.record.isOver) {
      await this.#bringUp(signal);
    }
  }

  /** Its output from now on, for an attached client. No output is lost between an attach and a start. */
  readonly attach = (): OutputTap => this.#parts.output.tap();

  /** The exit code of the current run; resolves at once when there is none. */
  async ended(): Promise<number> {
    await this.#end.recorded();
    return this.row.exitCode;
  }

  /** Removes the replica's row and everything on disk that belongs to it; concurrent calls share one removal. Throws SYNC_PENDING unless volumes go with it. */
  async remove(volumes: AnonymousFate): Promise<void> {
    if (volumes !== 'remove') {
      refuseUnsynced(this.row.name, this.#parts.synced);
    }
    this.#removing ??= this.#remove(volumes);
    await this.#removing;
  }

  async #remove(volumes: AnonymousFate): Promise<void> {
    const { context, record, output, attempts } = this.#parts;
    await attempts.interrupt(`${this.row.name} is being removed`);
    // Its disks go: whatever still runs on them ends before.
    await this.adoption.kill();
    record.close();
    await output.close();
    await this.suspension.drop();
    context.store.releaseLeases(this.row.id);
    await context.volumes.removeReplica(this.row, volumes);
    context.store.removeVm(this.row.id);
    if (volumes === 'remove') {
      await context.volumes.removeNameless(this.row);
    } else if (volumes === 'keep') {
      context.volumes.orphanShared(this.row);
    }
    record.destroyed();
    context.onChange();
  }

  readonly settleLog = (): Promise<void> => this.#parts.output.settled();

  /** Detaches from everything without stopping it; only a boot in progress is undone. */
  async release(): Promise<void> {
    const { record, output, attempts, publications } = this.#parts;
    await attempts.interrupt('the supervisor ends');
    await this.adoption.release();
    await this.#start.bootEnded();
    record.close();
    const { run } = this;
    run?.abort.abort();
    await run?.guest.close().catch(() => {});
    run?.machine.release();
    await publications.close();
    await output.close();
  }
}
