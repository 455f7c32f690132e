import { constants } from 'node:os';
import { HyprError, messageOf } from '../../base/errors.ts';
import { traced } from '../../base/trace/trace.ts';
import { GuestExecError } from '../../guest/client/process-channel.ts';
import type { GuestProcess } from '../../guest/types.ts';
import type { Machine } from '../../vmm/model/machine.ts';
import { newRun } from '../logs/new-run.ts';
import { withVariables } from '../machine/authority.ts';
import { tellNames } from '../machine/tell-names.ts';
import { nextState } from '../model/lifecycle.ts';
import { publishPorts } from '../resources/publish.ts';
import type { VmRow } from '../state/records.ts';
import { Adoption } from './adoption.ts';
import { type AdoptedRun, adoptedPatch, adoptRun, keepRun } from './boot/adopt.ts';
import { bootReplica, type Run } from './boot/run.ts';
import { isSynced } from './edits/synced-folders.ts';
import type { ReplicaEnd } from './end.ts';
import type { ReplicaParts } from './parts/parts.ts';
import { startedPatch, unbootedPatch, unstartedPatch } from './parts/status.ts';

const { SIGKILL } = constants.signals;

/** Starts a replica: boots its machine and starts its workload, or takes over both from an earlier supervisor. */
export class ReplicaStart {
  readonly #parts: ReplicaParts;
  readonly #end: ReplicaEnd;
  /** The taking over of a run that an earlier supervisor started. */
  readonly adoption: Adoption;
  #booting: Promise<void> | undefined;

  constructor(parts: ReplicaParts, end: ReplicaEnd) {
    this.#parts = parts;
    this.#end = end;
    this.adoption = new Adoption(parts, (onKept, signal) => this.#adopt(onKept, signal));
  }

  get #row(): VmRow {
    return this.#parts.record.row;
  }

  /** Takes the published ports, boots the machine and prepares it. After a failure nothing is left, and the row has the reason. */
  boot(signal: AbortSignal): Promise<void> {
    this.adoption.refuse();
    this.#booting = this.#boot(this.#parts.attempts.interruptible(signal)).finally(() => {
      this.#booting = undefined;
    });
    return this.#booting;
  }

  /** Resolves when no boot is in progress any more, whether it succeeded or not. */
  async bootEnded(): Promise<void> {
    await this.#booting?.catch(() => {});
  }

  async #boot(signal: AbortSignal): Promise<void> {
    const { record, context, publications, listeners } = this.#parts;
    signal.throwIfAborted();
    this.#parts.startsWithOwner = false;
    record.update({ state: nextState(this.#row.state, 'boot'), health: 'none', reason: undefined, stoppedByUser: false, run: newRun() });
    const begin = Date.now();
    record.beginTiming();
    listeners.expect();
    try {
      const guest = () => this.#parts.run?.guest;
      publications.take(await publishPorts(this.#row, { ...context, guest, awaitPort: listeners.awaitPort }, signal));
      record.update({ published: publications.ports });
      const onMachine = (machine: Machine) => {
        record.update({ machine: machine.record });
        this.#watchHold(machine);
      };
      const run = await bootReplica(this.#row, { ...context, onMachine }, signal);
      this.#parts.run = run;
      record.update({ bootMs: Date.now() - begin, env: run.env });
    } catch (error) {
      record.endTiming();
      await publications.close();
      record.update(
        signal.aborted ? unbootedPatch(this.#row) : { state: 'dead', machine: undefined, reason: messageOf(error), finishedAt: Date.now() },
      );
      throw error;
    } finally {
      // The names may have changed while it booted.
      context.onChange();
    }
  }

  /** Starts the workload in the booted machine; boots it again if it was lost while it waited. Throws SERVICE_FAILED. */
  async start(signal: AbortSignal): Promise<void> {
    if (this.#parts.run === undefined) {
      await this.boot(signal);
    }
    const { run } = this.#parts;
    if (run !== undefined && run.process === undefined) {
      await this.#startWorkload(run, this.#parts.attempts.interruptible(signal));
    }
  }

  async #startWorkload(run: Run, signal: AbortSignal): Promise<void> {
    const { context, record, output } = this.#parts;
    const { spec, name } = this.#row;
    let process: GuestProcess;
    try {
      await output.open({ run: this.#row.run ?? newRun(), resumed: false });
      // Sent before it starts, because it may look up a name at once. A failure is not fatal.
      void tellNames(run, context.networks.names(spec, context.vms())).catch(() => {});
      if (isSynced(spec)) {
        await this.#fill(run, signal);
      }
      process = await traced('start the workload', name, () => run.guest.startWorkload(withVariables(spec.process, run.env), signal));
    } catch (error) {
      throw await this.#giveUp(run, error, signal);
    }
    record.endTiming();
    run.process = process;
    record.update(startedPatch(this.#row));
    record.emit('start');
    this.#follow(run, process);
  }

  /** Its synced folders have on its disk what this host has in them, before a program looks. What is edited meanwhile is told, too. */
  async #fill(run: Run, signal: AbortSignal): Promise<void> {
    this.#parts.listeners.follow(run);
    this.#parts.synced.follow(run);
    await traced('fill synced folders', this.#row.name, () => run.guest.settle(signal));
  }

  /** Ends a machine whose workload did not start; gives the error to tell. */
  async #giveUp(run: Run, error: unknown, signal: AbortSignal): Promise<unknown> {
    const { context, record, powerDowns } = this.#parts;
    record.endTiming();
    const { machine: gone } = await powerDowns.start(run, { stopSignal: SIGKILL, graceMs: 0 });
    await this.#end.cleanUp(run);
    if (signal.aborted) {
      record.update(unbootedPatch(this.#row));
      context.onChange();
      return error;
    }
    const patch = unstartedPatch(error, gone);
    record.update(patch);
    record.emit('die');
    this.#end.leaveIfOver();
    context.onChange();
    return new HyprError('SERVICE_FAILED', `${this.#row.name} cannot start: ${patch.reason}`, {
      details: gone.lastLines,
      cause: error,
      path: ['services', this.#row.service, 'command'],
      ...(error instanceof GuestExecError
        ? { hint: 'compare `command:`, `entrypoint:` and `user:` of the service with what its image has' }
        : {}),
    });
  }

  /** False when there is nothing left to take over. */
  async #adopt(onKept: (reason: unknown) => void, signal: AbortSignal): Promise<boolean> {
    const { context, listeners, publications } = this.#parts;
    const onMachine = (machine: Machine) => this.#watchHold(machine);
    const adopted = await adoptRun(this.#row, { ...context, awaitPort: listeners.awaitPort, onMachine, onKept }, signal);
    if (adopted?.run.process === undefined) {
      return false;
    }
    try {
      await this.takeOver(adopted, {});
      return true;
    } catch (error) {
      // Its log cannot be opened, or its row not be written: nothing is wrong with the machine.
      this.#parts.run = undefined;
      await publications.close();
      await keepRun(this.#row, adopted, { error, onKept }, signal);
      return false;
    }
  }

  /** Continues an existing run; `patch` is written to its row as well. */
  async takeOver(adopted: AdoptedRun, patch: Partial<VmRow>): Promise<void> {
    const { record, output, publications } = this.#parts;
    this.#parts.run = adopted.run;
    this.#watchHold(adopted.run.machine);
    publications.take(adopted.publications);
    // One that an older hypr started has no number yet.
    const run = this.#row.run ?? newRun();
    await output.open({ run, resumed: true });
    record.update({ ...adoptedPatch(this.#row, adopted), ...patch, run });
    if (adopted.run.process !== undefined) {
      this.#follow(adopted.run, adopted.run.process);
      if (isSynced(this.#row.spec)) {
        this.#parts.synced.follow(adopted.run);
      }
    }
  }

  #watchHold(machine: Machine): void {
    const { record, context } = this.#parts;
    machine.onHold?.((held) => record.noteHeld(held, context.platform.paths.home));
  }

  /** Follows the health, output and end of a running workload. */
  #follow(run: Run, process: GuestProcess): void {
    const { clock, record } = this.#parts;
    // Whoever unpauses it waits for its clock to be right.
    run.machine.onResume?.(() => void (record.row.state === 'paused' ? undefined : clock.set(run.guest)));
    // Before the health checks: the guest tells what listens already to the first one only that asks.
    this.#parts.listeners.watch(run);
    this.#parts.health.watch(run);
    this.#parts.responsiveness.watch(run);
    this.#parts.output.follow(process);
    this.#end.follow(run, process);
    this.#parts.context.onChange();
  }
}
