import { HyprError, messageOf } from '../base/errors.ts';
import { logger } from '../base/log.ts';
import { traced } from '../base/trace.ts';
import type { GuestProcess, ProcessExit } from '../guest/types.ts';
import type { MachineExit } from '../vmm/machine.ts';
import type { ReplicaStatus } from './events.ts';
import type { ProbeResult } from './health.ts';
import { nextState } from './lifecycle.ts';
import type { OutputTap } from './output-tap.ts';
import { POWER_OFF_MS, PowerDowns } from './power-down.ts';
import { Publications, publishPorts } from './publish.ts';
import { type AdoptedRun, adoptedPatch, adoptRun } from './replica-adopt.ts';
import { Attempts } from './replica-attempts.ts';
import { type Controlled, pauseRun, signalRun, unpauseRun } from './replica-controls.ts';
import { ReplicaHealth } from './replica-health.ts';
import { ReplicaOutput } from './replica-output.ts';
import { type ReplicaContext, ReplicaRecord } from './replica-record.ts';
import { ReplicaRestarts } from './replica-restarts.ts';
import { bootReplica, type Run } from './replica-run.ts';
import { endedPatch, hasLeft, keepsNothing, lostPatch, startedPatch, unbootedPatch, unstartedPatch } from './replica-status.ts';
import { Suspension } from './replica-suspend.ts';
import type { VmRow } from './state/records.ts';
import { tellNames } from './tell-names.ts';

export type { ReplicaContext } from './replica-record.ts';

const log = logger('replica');

const SIGTERM = 15;
const SIGKILL = 9;
/** For a machine whose agent went silent to end by itself, so that its true end is known. */
const LOST_MS = 5_000;
/** For a suspended machine to go on, only to be stopped. */
const RESUME_MS = 60_000;

/**
 * One replica of a service and everything that runs for it. Its row in the database is always up to date.
 * Plans call it one after the other; what it does by itself (`#attempts`) gives way to them.
 */
export class Replica {
  readonly #context: ReplicaContext;
  readonly #record: ReplicaRecord;
  readonly #output: ReplicaOutput;
  readonly #health: ReplicaHealth;
  readonly #attempts: Attempts;
  readonly #restarts: ReplicaRestarts;
  readonly #powerDowns: PowerDowns;
  readonly #publications = new Publications();
  readonly #controlled: Controlled;
  /** To disk and back. */
  readonly suspension: Suspension;
  #run: Run | undefined;
  #booting: Promise<void> | undefined;
  /** From the start of a workload to its end on record. Never rejects. */
  #ending: Promise<void> | undefined;
  #removing: Promise<void> | undefined;
  /** Between the two halves of a restart on a new network: the policy has no say. */
  #replacing = false;

  constructor(row: VmRow, context: ReplicaContext) {
    this.#context = context;
    this.#record = new ReplicaRecord(row, context);
    this.#controlled = { record: this.#record, run: () => this.#run };
    this.#health = new ReplicaHealth(this.#record);
    this.suspension = new Suspension({
      record: this.#record,
      context,
      run: () => this.#run,
      letGo: (run) => this.#letGo(run),
      takeOver: (adopted, patch) => this.#takeOver(adopted, patch),
    });
    this.#attempts = new Attempts(row.name);
    const bringUp = async (signal: AbortSignal): Promise<void> => {
      await this.#boot(signal);
      await this.start(signal);
    };
    this.#restarts = new ReplicaRestarts(this.#record, this.#attempts, { bringUp, onChange: context.onChange });
    this.#powerDowns = new PowerDowns(row.name, () => this.#record.isOver);
    this.#output = new ReplicaOutput({ logs: context.logs, bus: context.bus, replica: row.name, service: row.service });
  }

  get row(): VmRow {
    return this.#record.row;
  }

  get run(): Run | undefined {
    return this.#run;
  }

  get lastProbe(): ProbeResult | undefined {
    return this.#health.last;
  }

  /** Booted by a plan, and its workload not yet started. */
  get isHeld(): boolean {
    return this.#run !== undefined && this.#run.process === undefined && !this.#attempts.isRunning;
  }

  status(): ReplicaStatus {
    return this.#record.status();
  }

  /** Records a new replica and reserves its addresses. */
  create(): void {
    this.#context.store.putVm(this.row);
    this.#context.networks.lease(this.row);
    this.#record.emit('create');
    this.#context.onChange();
  }

  /** Takes the published ports, boots the machine and prepares it, all before any dependency is ready. */
  async boot(signal: AbortSignal): Promise<void> {
    await this.#attempts.interrupt(`${this.row.name} is being started`);
    // A restart of its own may have been faster.
    if (this.#run === undefined) {
      await this.#boot(signal);
    }
  }

  #boot(signal: AbortSignal): Promise<void> {
    this.#booting = this.#bootRun(this.#attempts.interruptible(signal)).finally(() => {
      this.#booting = undefined;
    });
    return this.#booting;
  }

  async #bootRun(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#record.update({ state: nextState(this.row.state, 'boot'), health: 'none', reason: undefined, stoppedByUser: false });
    const begin = Date.now();
    this.#record.beginTiming();
    try {
      this.#publications.take(await publishPorts(this.row, this.#context, signal));
      this.#record.update({ published: this.#publications.ports });
      this.#run = await bootReplica(
        this.row,
        { ...this.#context, onMachine: (machine) => this.#record.update({ machine: machine.record }) },
        signal,
      );
      this.#record.update({ bootMs: Date.now() - begin });
    } catch (error) {
      this.#record.endTiming();
      await this.#publications.close();
      this.#record.update(
        signal.aborted ? unbootedPatch(this.row) : { state: 'dead', machine: undefined, reason: messageOf(error), finishedAt: Date.now() },
      );
      throw error;
    } finally {
      // Names that changed meanwhile are told to the new machine too.
      this.#context.onChange();
    }
  }

  /** Starts the workload in the booted machine; boots it again if it was lost while it waited. */
  async start(signal: AbortSignal): Promise<void> {
    if (this.#run === undefined) {
      await this.#boot(signal);
    }
    const run = this.#run;
    if (run !== undefined && run.process === undefined) {
      await this.#startWorkload(run, this.#attempts.interruptible(signal));
    }
  }

  async #startWorkload(run: Run, signal: AbortSignal): Promise<void> {
    const { spec, name } = this.row;
    let process: GuestProcess;
    try {
      await this.#output.open({ fresh: this.row.startedAt === undefined });
      // Told before it starts, because it may ask at once; failing is not fatal.
      void tellNames(run, this.#context.networks.names(spec, this.#context.vms())).catch(() => {});
      process = await traced('start the workload', name, () => run.guest.startWorkload(spec.process, signal));
    } catch (error) {
      this.#record.endTiming();
      const { machine: gone } = await this.#powerDowns.start(run, { stopSignal: SIGKILL, graceMs: 0 });
      await this.#tearDown(run);
      if (signal.aborted) {
        this.#record.update(unbootedPatch(this.row));
        this.#context.onChange();
        throw error;
      }
      const patch = unstartedPatch(error, gone);
      this.#record.update(patch);
      this.#record.emit('die');
      this.#leaveIfOver();
      this.#context.onChange();
      throw new HyprError('SERVICE_FAILED', `${name} cannot start: ${patch.reason}`, { details: gone.lastLines, cause: error });
    }
    this.#record.endTiming();
    run.process = process;
    this.#record.update(startedPatch(this.row));
    this.#record.emit('start');
    this.#attach(run, process);
  }

  /** Follows a running workload: its output, its health, its end. */
  #attach(run: Run, process: GuestProcess): void {
    this.#health.watch(run);
    this.#output.follow(process);
    this.#ending = this.#awaitEnd(run, process).catch((error: unknown) =>
      log.error('the end of a run was not recorded', { replica: this.row.name, error: messageOf(error) }),
    );
    this.#context.onChange();
  }

  /** Waits for the workload or the machine to end, records how, and restarts by policy. */
  async #awaitEnd(run: Run, process: GuestProcess): Promise<void> {
    const exit = await Promise.race([process.exited.catch(() => undefined), run.machine.exited.then(() => undefined)]);
    // Let go of, removed, or suspended: what ended then is only this connection.
    if (this.#record.isOver || this.#run !== run) {
      return;
    }
    if (exit !== undefined) {
      await Promise.race([this.#output.delivered(), run.machine.exited]);
      await this.#endMachine(run);
    } else {
      // Machine or channel: the end of the one is soon the end of the other.
      await run.machine.stop(this.#powerDowns.of(run) ? this.row.spec.stopGraceMs + POWER_OFF_MS : LOST_MS);
    }
    const said = (await this.#powerDowns.of(run))?.workload;
    await this.#finish(run, exit ?? said, await run.machine.exited);
  }

  /** A one-off whose disks are removed with it has nothing to sync. */
  async #endMachine(run: Run): Promise<void> {
    if (keepsNothing(this.row) && this.#powerDowns.of(run) === undefined) {
      await this.#output.finish();
      await run.machine.kill();
    } else {
      await this.#powerDowns.start(run, { stopSignal: SIGTERM, graceMs: 0 });
    }
  }

  async #finish(run: Run, exit: ProcessExit | undefined, gone: MachineExit): Promise<void> {
    await this.#tearDown(run);
    await this.#output.finish();
    this.#record.update(endedPatch(this.row, exit, gone));
    this.#record.emit('die');
    this.#ending = undefined;
    if (!this.#replacing) {
      this.#restarts.byPolicy(this.row.exitCode);
    }
    this.#leaveIfOver();
    this.#context.onChange();
  }

  /** `run --rm`: one that has ended for good goes. */
  #leaveIfOver(): void {
    if (hasLeft(this.row) && !this.#replacing && !this.#record.isOver) {
      this.#context.onLeft(this.row.name);
    }
  }

  /** Everything that belongs to a run is closed and removed; the row still names the machine until that is done. */
  async #tearDown(run: Run): Promise<void> {
    run.abort.abort();
    await run.guest.close().catch(() => {});
    await traced('clean up', this.row.name, async () => {
      await run.machine.delete().catch((error: unknown) => log.warn('leftovers', { replica: this.row.name, error: messageOf(error) }));
      await this.#publications.close();
    });
    if (this.#run === run) {
      this.#run = undefined;
    }
  }

  /** Graceful stop: stop signal, grace period, then force. Ends with the machine gone. */
  async stop(options: { graceMs: number; byUser: boolean }): Promise<void> {
    if (options.byUser && !this.row.stoppedByUser) {
      this.#record.update({ stoppedByUser: true });
    }
    await this.#attempts.interrupt(`${this.row.name} is being stopped`);
    await this.#booting?.catch(() => {});
    if (this.row.state === 'restarting') {
      this.#record.update({ state: nextState('restarting', 'stop') });
      this.#record.emit('stop');
      this.#context.onChange();
      return;
    }
    if (this.row.state === 'suspended') {
      // Its disks lack what its memory has: it goes on to end in good order.
      await this.suspension.resume(AbortSignal.timeout(RESUME_MS));
    }
    await this.#stopRun(options.graceMs);
  }

  async #stopRun(graceMs: number): Promise<void> {
    const run = this.#run;
    if (run === undefined) {
      await this.#ending;
      return;
    }
    if (this.row.state === 'paused') {
      await run.machine.resume().catch(() => {});
    }
    this.#record.update({ state: nextState(this.row.state, 'stop') });
    run.abort.abort();
    await this.#powerDowns.start(run, { stopSignal: this.row.spec.stopSignal, graceMs });
    if (run.process !== undefined) {
      await this.#ending;
      this.#record.emit('stop');
    } else {
      await this.#tearDown(run);
      this.#record.update(unbootedPatch(this.row));
      this.#context.onChange();
    }
  }

  /** `kill -s`: the signal goes to the workload; SIGKILL ends the run, and a restart that is due. */
  async kill(signal: number): Promise<void> {
    if (signal === SIGKILL && this.#run?.process === undefined && (this.row.state === 'starting' || this.row.state === 'restarting')) {
      return this.stop({ graceMs: 0, byUser: true });
    }
    await signalRun(this.#controlled, signal);
    if (signal === SIGKILL) {
      await this.#ending;
    }
  }

  readonly pause = (): Promise<void> => pauseRun(this.#controlled);

  async unpause(): Promise<void> {
    await unpauseRun(this.#controlled);
    // Names that changed while it was paused.
    this.#context.onChange();
  }

  /** Takes over a run that an earlier supervisor started. False when there is nothing left to take over. */
  async adopt(signal: AbortSignal): Promise<boolean> {
    const adopted = await adoptRun(this.row, this.#context, signal);
    if (adopted?.run.process === undefined) {
      return false;
    }
    const { stoppedByUser, spec } = this.row;
    await this.#takeOver(adopted, {});
    if (this.row.state === 'stopping') {
      this.stop({ graceMs: spec.stopGraceMs, byUser: stoppedByUser }).catch((error: unknown) =>
        log.warn('a stop was not finished', { replica: this.row.name, error: messageOf(error) }),
      );
    }
    return true;
  }

  async #takeOver(adopted: AdoptedRun, patch: Partial<VmRow>): Promise<void> {
    this.#run = adopted.run;
    this.#publications.take(adopted.publications);
    await this.#output.open({ fresh: false });
    this.#record.update({ ...adoptedPatch(this.row, adopted), ...patch });
    if (adopted.run.process !== undefined) {
      this.#attach(adopted.run, adopted.run.process);
    }
  }

  /** Ends a machine that goes on from disk later: to the workload nothing has happened. */
  async #letGo(run: Run): Promise<void> {
    this.#run = undefined;
    await this.#tearDown(run);
    await this.#output.finish();
    this.#ending = undefined;
  }

  /** Stops and starts in one go, whatever the restart policy says: its network was replaced under it. Rejects if it does not come up. */
  async startAgain(): Promise<void> {
    if (this.isHeld) {
      // The plan that booted it boots it again when its turn to start comes.
      return this.#stopRun(0);
    }
    await this.#attempts.interrupt(`${this.row.name} starts again`);
    const failure = await this.#restarts.run(async (signal) => {
      this.#replacing = true;
      await this.#stopRun(this.row.spec.stopGraceMs).finally(() => {
        this.#replacing = false;
      });
      if (!signal.aborted && !this.#record.isOver) {
        await this.#boot(signal);
        await this.start(signal);
      }
    });
    if (failure !== undefined) {
      throw failure;
    }
  }

  /** The machine vanished while nobody watched: record it and let the policy decide. */
  lost(reason: string): void {
    if (this.row.startedAt === undefined) {
      this.#record.update({ ...unbootedPatch(this.row), health: 'none' });
      return;
    }
    this.#record.update(lostPatch(reason));
    this.#record.emit('die');
    this.#restarts.byPolicy(137);
  }

  /** A restart that an earlier supervisor had decided on. */
  readonly resumeRestart = (): void => this.#restarts.after(0);

  /** Its output from now on, for a client. Nothing is lost between an attach and a start. */
  readonly attach = (): OutputTap => this.#output.tap();

  /** The exit code of the run of now; resolves at once when there is none. */
  async ended(): Promise<number> {
    await this.#ending;
    return this.row.exitCode;
  }

  /** Forgets the replica and everything on disk that is its own; once, whoever asks. */
  remove(options: { keepVolumes: boolean }): Promise<void> {
    this.#removing ??= this.#remove(options);
    return this.#removing;
  }

  async #remove(options: { keepVolumes: boolean }): Promise<void> {
    await this.#attempts.interrupt(`${this.row.name} is being removed`);
    this.#record.close();
    await this.#output.close();
    await this.suspension.drop();
    this.#context.store.releaseLeases(this.row.id);
    await this.#context.volumes.removeReplica(this.row.name, options);
    this.#context.store.removeVm(this.row.id);
    this.#record.destroyed();
    this.#context.onChange();
  }

  readonly settleLog = (): Promise<void> => this.#output.settled();

  /** Lets go of everything without stopping it; only a boot under way comes to nothing. */
  async release(): Promise<void> {
    await this.#attempts.interrupt('the supervisor ends');
    await this.#booting?.catch(() => {});
    this.#record.close();
    const run = this.#run;
    run?.abort.abort();
    await run?.guest.close().catch(() => {});
    run?.machine.release();
    await this.#publications.close();
    await this.#output.close();
  }
}
