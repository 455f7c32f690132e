import { withDeadline } from '../base/deadline.ts';
import { HyprError, messageOf } from '../base/errors.ts';
import { logger } from '../base/log.ts';
import type { GuestProcess, ProcessExit } from '../guest/types.ts';
import type { EventBus } from './bus.ts';
import type { ReplicaAction, ReplicaStatus } from './events.ts';
import { monitorHealth, type ProbeResult } from './health.ts';
import { nextState } from './lifecycle.ts';
import type { LogStore, LogWriter } from './logs.ts';
import type { Publication } from './platform.ts';
import { publishPorts, reservedPorts } from './publish.ts';
import { type BootContext, bootReplica, type Run } from './replica-run.ts';
import { replicaStatus } from './replica-status.ts';
import { decideRestart } from './restart.ts';
import type { VmRow } from './state/records.ts';
import type { StateStore } from './state/store.ts';

const log = logger('replica');

const SIGTERM = 15;
const SIGKILL = 9;
/** For the guest to sync and power off after its workload ended. */
const POWER_OFF_MS = 20_000;

export interface ReplicaContext extends BootContext {
  readonly store: StateStore;
  readonly logs: LogStore;
  readonly bus: EventBus;
  /** Told after every change that alters names or whether the stack is idle. */
  readonly onChange: () => void;
}

/** One replica of a service and everything that runs for it. Its row in the database is always up to date. */
export class Replica {
  #row: VmRow;
  readonly #context: ReplicaContext;
  #run: Run | undefined;
  #writer: LogWriter | undefined;
  #publications: readonly Publication[] = [];
  #lastProbe: ProbeResult | undefined;
  /** Interrupts a boot, or the pause before a restart. */
  #interrupt = new AbortController();
  #booting: Promise<void> | undefined;
  #ending: Promise<void> | undefined;
  #exit: ProcessExit | undefined;

  constructor(row: VmRow, context: ReplicaContext) {
    this.#row = row;
    this.#context = context;
  }

  get row(): VmRow {
    return this.#row;
  }

  get run(): Run | undefined {
    return this.#run;
  }

  get lastProbe(): ProbeResult | undefined {
    return this.#lastProbe;
  }

  status(): ReplicaStatus {
    return replicaStatus(this.#row, this.#context.store.leases(this.#row.stack));
  }

  /** Records a new replica and reserves its addresses. */
  create(): void {
    this.#context.store.putVm(this.#row);
    this.#context.networks.lease(this.#row);
    this.#emit('create');
    this.#context.onChange();
  }

  /** Takes the published ports, boots the machine and prepares it, all before any dependency is ready. */
  boot(signal: AbortSignal): Promise<void> {
    this.#booting = this.#boot(signal).finally(() => {
      this.#booting = undefined;
    });
    return this.#booting;
  }

  async #boot(signal: AbortSignal): Promise<void> {
    this.#interrupt = new AbortController();
    const both = AbortSignal.any([signal, this.#interrupt.signal]);
    this.#update({ state: nextState(this.#row.state, 'boot'), health: 'none', reason: undefined, stoppedByUser: false });
    const begin = Date.now();
    try {
      this.#publications = await publishPorts(this.#row, this.#context, both);
      this.#update({ published: reservedPorts(this.#publications) });
      this.#run = await bootReplica(
        this.#row,
        { ...this.#context, onMachine: (machine) => this.#update({ machine: machine.record }) },
        both,
      );
      this.#update({ bootMs: Date.now() - begin });
    } catch (error) {
      await this.#unpublish();
      const interrupted = both.aborted;
      this.#update({
        state: interrupted ? 'exited' : 'dead',
        machine: undefined,
        reason: interrupted ? undefined : messageOf(error),
        finishedAt: Date.now(),
      });
      this.#context.onChange();
      throw error;
    }
  }

  /** Starts the workload in the booted machine. */
  async start(signal: AbortSignal): Promise<void> {
    const run = this.#run;
    if (run === undefined) {
      throw new HyprError('HYPR_INTERNAL', `${this.#row.name} was not booted`);
    }
    this.#writer ??= await this.#context.logs.writer(this.#row.name, this.#row.service, { fresh: this.#row.startedAt === undefined });
    try {
      run.process = await run.guest.startWorkload(this.#row.spec.process, signal);
    } catch (error) {
      await this.#powerDown(run, { stopSignal: SIGKILL, graceMs: 0 });
      this.#update({ state: 'exited', machine: undefined, exitCode: 127, reason: messageOf(error), finishedAt: Date.now() });
      this.#emit('die');
      this.#context.onChange();
      throw new HyprError('SERVICE_FAILED', `${this.#row.name} cannot start: ${messageOf(error)}`, { cause: error });
    }
    this.#update({
      state: nextState(this.#row.state, 'started'),
      health: this.#row.spec.health ? 'starting' : 'none',
      startedAt: Date.now(),
      finishedAt: undefined,
      exitCode: 0,
    });
    this.#emit('start');
    this.#attach(run, run.process);
  }

  /** Follows a running workload: its output, its health, its end. */
  #attach(run: Run, process: GuestProcess): void {
    this.#exit = undefined;
    this.#context.onChange();
    void this.#pump(process);
    if (this.#row.spec.health !== undefined) {
      void monitorHealth({
        spec: this.#row.spec.health,
        guest: run.guest,
        process: this.#row.spec.process,
        initial: this.#row.health === 'none' ? 'starting' : this.#row.health,
        startedAt: this.#row.startedAt ?? Date.now(),
        signal: run.abort.signal,
        onProbe: (health, probe) => this.#onProbe(health, probe),
      });
    }
    this.#ending = this.#awaitEnd(run, process);
  }

  async #pump(process: GuestProcess): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined) {
      return;
    }
    try {
      for await (const chunk of process.output) {
        for (const record of writer.write(chunk.stream, chunk.data, chunk.time)) {
          this.#context.bus.emit({ type: 'log', record });
        }
      }
    } catch (error) {
      log.debug('output ended', { replica: this.#row.name, error: messageOf(error) });
    }
    for (const record of writer.flush()) {
      this.#context.bus.emit({ type: 'log', record });
    }
  }

  #onProbe(health: VmRow['health'], probe: ProbeResult): void {
    this.#lastProbe = probe;
    if (health !== this.#row.health && (this.#row.state === 'running' || this.#row.state === 'paused')) {
      const reason =
        health === 'unhealthy' ? `health check: ${probe.output.trim().split('\n').at(-1) ?? `exit code ${probe.code}`}` : undefined;
      this.#update({ health, reason });
      this.#emit('health_status');
    }
  }

  /** Waits for the workload or the machine to end, records how, and restarts by policy. */
  async #awaitEnd(run: Run, process: GuestProcess): Promise<void> {
    const exit = await Promise.race([
      process.exited.then(
        (ended) => ended,
        () => undefined,
      ),
      run.machine.exited.then(() => undefined),
    ]);
    this.#exit = exit ?? this.#exit;
    if (exit !== undefined && this.#row.state !== 'stopping') {
      await this.#powerDown(run, { stopSignal: SIGTERM, graceMs: 0 });
    }
    const gone = await run.machine.exited;
    await this.#finish(run, gone.reason === 'crashed' ? gone : undefined);
  }

  async #finish(run: Run, crash: { readonly detail?: string; readonly lastLines: readonly string[] } | undefined): Promise<void> {
    await this.#tearDown(run);
    for (const record of this.#writer?.flush() ?? []) {
      this.#context.bus.emit({ type: 'log', record });
    }
    await this.#writer?.settled();
    const exitCode = this.#exit?.code ?? 137;
    this.#update({
      state: nextState(this.#row.state, 'exit'),
      machine: undefined,
      exitCode,
      reason: endReason(this.#exit, crash),
      finishedAt: Date.now(),
      health: 'none',
    });
    this.#emit('die');
    this.#context.onChange();
    this.#restartByPolicy(exitCode);
  }

  /** Everything that belongs to a run is closed and removed; the row still names the machine until that is done. */
  async #tearDown(run: Run): Promise<void> {
    run.abort.abort();
    await run.guest.close().catch(() => {});
    await run.machine.delete().catch((error: unknown) => log.warn('leftovers', { replica: this.#row.name, error: messageOf(error) }));
    await this.#unpublish();
    this.#run = undefined;
  }

  #restartByPolicy(exitCode: number): void {
    const ranFor = (this.#row.finishedAt ?? 0) - (this.#row.startedAt ?? 0);
    const decision = decideRestart(this.#row.spec.restart, {
      exitCode,
      restarts: this.#row.restarts,
      stoppedByUser: this.#row.stoppedByUser,
      ranFor,
    });
    if (decision.restart) {
      this.#update({ state: nextState(this.#row.state, 'retry'), restarts: decision.restarts });
      this.#emit('restart');
      void this.#restartAfter(decision.delay);
    }
  }

  async #restartAfter(delay: number): Promise<void> {
    this.#interrupt = new AbortController();
    const { signal } = this.#interrupt;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delay);
      signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    });
    if (signal.aborted || this.#row.state !== 'restarting') {
      return;
    }
    try {
      await this.boot(signal);
      await this.start(signal);
    } catch (error) {
      log.warn('restart failed', { replica: this.#row.name, error: messageOf(error) });
      // Read anew: the boot changed it.
      if (!this.row.stoppedByUser && this.row.state === 'dead') {
        this.#restartByPolicy(1);
      }
    }
  }

  /** Graceful stop: stop signal, grace period, then force. Ends with the machine gone. */
  async stop(options: { graceMs: number; byUser: boolean }): Promise<void> {
    if (options.byUser && !this.#row.stoppedByUser) {
      this.#update({ stoppedByUser: true });
    }
    this.#interrupt.abort(new HyprError('HYPR_CANCELLED', `${this.#row.name} is being stopped`));
    await this.#booting?.catch(() => {});
    if (this.#row.state === 'restarting') {
      this.#update({ state: nextState('restarting', 'stop') });
      this.#emit('stop');
      this.#context.onChange();
      return;
    }
    const run = this.#run;
    if (run === undefined) {
      return;
    }
    const wasStarted = run.process !== undefined;
    if (this.#row.state === 'paused') {
      await run.machine.resume();
    }
    this.#update({ state: nextState(this.#row.state, 'stop') });
    run.abort.abort();
    await this.#powerDown(run, { stopSignal: this.#row.spec.stopSignal, graceMs: options.graceMs });
    if (wasStarted) {
      await this.#ending;
      this.#emit('stop');
    } else {
      // Booted ahead and never started: for everybody outside it is still what it was before.
      await this.#tearDown(run);
      this.#update({ state: this.#row.startedAt === undefined ? 'created' : 'exited', machine: undefined });
      this.#context.onChange();
    }
  }

  /** Asks the guest to end, and ends the machine whatever it answers. */
  async #powerDown(run: Run, options: { stopSignal: number; graceMs: number }): Promise<void> {
    const deadline = options.graceMs + POWER_OFF_MS;
    try {
      const exit = await withDeadline({ ms: deadline, what: `the end of ${this.#row.name}` }, (signal) =>
        run.guest.powerOff(options, signal),
      );
      this.#exit ??= exit;
    } catch (error) {
      log.warn('no clean power-off', { replica: this.#row.name, error: messageOf(error) });
      await run.machine.kill();
    }
    await run.machine.stop(POWER_OFF_MS);
  }

  /** `kill -s`: the signal goes to the workload; SIGKILL ends the run. */
  async kill(signal: number): Promise<void> {
    const run = this.#run;
    if (run?.process === undefined) {
      throw new HyprError('STACK_NOT_RUNNING', `${this.#row.name} is not running`);
    }
    this.#update({ stoppedByUser: signal === SIGKILL || this.#row.stoppedByUser });
    await run.process.signal(signal);
    this.#emit('kill');
    if (signal === SIGKILL) {
      await this.#ending;
    }
  }

  async pause(): Promise<void> {
    const run = this.#running();
    await run.machine.pause();
    this.#update({ state: nextState(this.#row.state, 'pause') });
    this.#emit('pause');
  }

  async unpause(): Promise<void> {
    const run = this.#running();
    await run.machine.resume();
    await run.guest.setClock(Date.now());
    this.#update({ state: nextState(this.#row.state, 'unpause') });
    this.#emit('unpause');
  }

  #running(): Run {
    if (this.#run?.process === undefined) {
      throw new HyprError('STACK_NOT_RUNNING', `${this.#row.name} is not running`);
    }
    return this.#run;
  }

  /** Takes over a run that an earlier supervisor started. False when there is nothing left to take over. */
  async adopt(signal: AbortSignal): Promise<boolean> {
    const record = this.#row.machine;
    if (record === undefined) {
      return false;
    }
    const { platform } = this.#context;
    const machine = await platform.vmm.adopt(record, signal);
    if (machine === undefined) {
      await platform.vmm.sweep(record);
      return false;
    }
    try {
      const guest = await platform.connectGuest(record.agentSocket, { signal, timeout: 30_000 });
      const run: Run = { machine, guest, process: undefined, abort: new AbortController() };
      if (guest.info.state !== 'running' && guest.info.state !== 'exited') {
        throw new HyprError('STACK_NOT_RUNNING', `${this.#row.name} had not been started`);
      }
      this.#publications = await publishPorts(this.#row, this.#context, signal);
      this.#writer = await this.#context.logs.writer(this.#row.name, this.#row.service, { fresh: false });
      run.process = await guest.attachWorkload(signal);
      this.#run = run;
      this.#update({ published: reservedPorts(this.#publications) });
      this.#attach(run, run.process);
      return true;
    } catch (error) {
      log.warn('cannot adopt', { replica: this.#row.name, error: messageOf(error) });
      await this.#unpublish();
      await machine.kill();
      await machine.delete();
      return false;
    }
  }

  /** Stops and starts in one go, whatever the restart policy says: its network was replaced under it. */
  async startAgain(): Promise<void> {
    await this.stop({ graceMs: this.#row.spec.stopGraceMs, byUser: false });
    this.#interrupt.abort();
    const { signal } = new AbortController();
    await this.boot(signal);
    await this.start(signal);
  }

  /** The machine vanished while nobody watched: record it and let the policy decide. */
  lost(reason: string): void {
    this.#update({ state: 'exited', machine: undefined, exitCode: 137, reason, finishedAt: Date.now(), health: 'none' });
    this.#emit('die');
    this.#restartByPolicy(137);
  }

  /** Forgets the replica and everything on disk that is its own. */
  async remove(options: { keepVolumes: boolean }): Promise<void> {
    await this.#writer?.close();
    this.#writer = undefined;
    this.#context.store.releaseLeases(this.#row.id);
    await this.#context.volumes.removeReplica(this.#row.name, options);
    this.#context.store.removeVm(this.#row.id);
    this.#context.bus.emit({ type: 'replica', action: 'destroy', replica: this.status(), gone: true });
    this.#context.onChange();
  }

  async settleLog(): Promise<void> {
    await this.#writer?.settled();
  }

  /** Lets go of everything without stopping it. */
  async release(): Promise<void> {
    this.#interrupt.abort(new HyprError('HYPR_CANCELLED', 'the supervisor ends'));
    this.#run?.abort.abort();
    this.#run?.machine.release();
    await this.#unpublish();
    await this.#writer?.close();
  }

  async #unpublish(): Promise<void> {
    const publications = this.#publications;
    this.#publications = [];
    await Promise.allSettled(publications.map((publication) => publication.close()));
  }

  #update(patch: Partial<VmRow>): void {
    this.#row = { ...this.#row, ...patch };
    this.#context.store.putVm(this.#row);
    this.#emit('update');
  }

  #emit(action: ReplicaAction): void {
    this.#context.bus.emit({ type: 'replica', action, replica: this.status() });
  }
}

const endReason = (
  exit: ProcessExit | undefined,
  crash: { readonly detail?: string; readonly lastLines: readonly string[] } | undefined,
): string | undefined => {
  if (exit !== undefined) {
    return exit.oomKilled ? 'out of memory' : undefined;
  }
  return crash === undefined ? undefined : `the machine died: ${crash.detail ?? crash.lastLines.at(-1) ?? 'no reason given'}`;
};
