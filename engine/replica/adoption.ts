import { type LinkedController, linkedController } from '../../base/abort.ts';
import { sleep } from '../../base/deadline.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { isStopped } from '../../base/host/process.ts';
import { logger } from '../../base/log.ts';
import type { VmRow } from '../state/records.ts';
import { POWER_OFF_MS } from './boot/power-down.ts';
import type { ReplicaParts } from './parts/parts.ts';
import { lostPatch } from './parts/status.ts';

const log = logger('adoption');

/** How long a machine may take to answer before it is said to be silent and nobody waits for it. */
const ANSWER_MS = 30_000;

/**
 * `silent`: its machine lives and does not answer; it is taken over when it does. `kept`: it lives and cannot be taken over, and is left
 * as it is.
 */
export type Adopted = 'adopted' | 'gone' | 'silent' | 'kept';

/** Waits until the machine answers (true) or has ended (false); `onKept` is called when it lives and cannot be taken over. */
type Adopt = (onKept: (reason: unknown) => void, signal: AbortSignal) => Promise<boolean>;

interface Pending {
  readonly controller: LinkedController;
  readonly since: number;
  /** Why it cannot be taken over. */
  kept?: string;
}

/**
 * The taking over of a run that an earlier supervisor started. A machine whose process lives is never ended because it does not answer: it
 * may be stopped by a signal, its host asleep, its disk full or its processor taken, and it goes on with all that it has not written yet.
 */
export class Adoption {
  readonly #parts: ReplicaParts;
  readonly #adopt: Adopt;
  #pending: Pending | undefined;
  /** Never rejects. Undefined: given up, or never begun. */
  #outcome: Promise<'adopted' | 'gone' | undefined> = Promise.resolve(undefined);

  constructor(parts: ReplicaParts, adopt: Adopt) {
    this.#parts = parts;
    this.#adopt = adopt;
  }

  /** Whether the replica has a machine that does not answer yet. */
  get isPending(): boolean {
    return this.#pending !== undefined;
  }

  /** Why the machine, which lives, cannot be taken over; undefined while it can be. */
  get keptFor(): string | undefined {
    return this.#pending?.kept;
  }

  /** Takes it over, or says after a while that it is silent, or at once that it is kept; then `ended` tells what came of it. */
  async begin(signal: AbortSignal): Promise<Adopted> {
    const controller = linkedController(signal);
    const pending: Pending = { controller, since: Date.now() };
    this.#pending = pending;
    const kept = Promise.withResolvers<'kept'>();
    let isTold = false;
    const onKept = (reason: unknown) => {
      pending.kept = messageOf(reason);
      if (isTold) {
        this.#parts.context.bus.emit({ type: 'warning', message: keptMessage(this.#parts.record.row, pending.kept) });
      } else {
        this.#tellSilence();
      }
      kept.resolve('kept');
    };
    this.#outcome = this.#settle(onKept, controller.signal);
    const patience = linkedController(signal);
    const found = await Promise.race([this.#outcome, kept.promise, this.#silence(patience.signal)]);
    patience.abort();
    signal.throwIfAborted();
    if (found === 'silent') {
      isTold = true;
      this.#tellSilence();
    }
    return found ?? 'gone';
  }

  /** Resolves when nobody waits for the machine any more; undefined if there was nothing to wait for, or it was given up. */
  ended(): Promise<'adopted' | 'gone' | undefined> {
    return this.#outcome;
  }

  /** Throws GUEST_SILENT while the machine does not answer or is kept: there is no way to do anything in it. */
  refuse(): void {
    if (this.#pending?.kept !== undefined) {
      throw keptError(this.#parts.record.row, this.#pending.kept);
    }
    if (this.#pending !== undefined) {
      throw this.#parts.responsiveness.silentError(this.#pending.since);
    }
  }

  /** Before a stop: waits as long as a stop may take for a machine that is silent, then ends it, because it was asked for. */
  async endWithin(graceMs: number): Promise<void> {
    if (this.#pending === undefined) {
      return;
    }
    if (this.#pending.kept === undefined) {
      const late = linkedController(undefined);
      await Promise.race([this.#outcome, sleep(graceMs + POWER_OFF_MS, late.signal).catch(() => {})]);
      late.abort();
    }
    await this.kill();
  }

  /** Ends a machine that is silent now, with everything that it has not written. */
  async kill(): Promise<void> {
    const { record, context } = this.#parts;
    if (this.#pending === undefined) {
      return;
    }
    const { kept } = this.#pending;
    const { shares } = record.row.spec;
    if (shares !== undefined) {
      throw new HyprError('GUEST_SILENT', `${record.row.name} runs in the machine of ${shares.replica}, which does not respond`, {
        hint: `stop ${shares.service}, which ends both`,
      });
    }
    await this.release();
    if (record.row.machine !== undefined) {
      await context.platform.vmm.sweep(record.row.machine);
    }
    record.noteStall(undefined);
    record.update(lostPatch(kept === undefined ? 'its machine did not respond and was ended' : `its machine was ended: ${kept}`));
    record.emit('die');
    context.onChange();
  }

  /** Waits no longer, and leaves the machine as it is. */
  async release(): Promise<void> {
    const { name } = this.#parts.record.row;
    this.#pending?.controller.abort(new HyprError('HYPR_CANCELLED', `${name} is not waited for any longer`));
    await this.#outcome;
  }

  async #settle(onKept: (reason: unknown) => void, signal: AbortSignal): Promise<'adopted' | 'gone' | undefined> {
    try {
      if (await this.#adopt(onKept, signal)) {
        return 'adopted';
      }
      this.#parts.record.noteStall(undefined);
      return 'gone';
    } catch (error) {
      if (!signal.aborted) {
        // Of what is done after its end: while it lives it is kept.
        log.error('cannot be taken over', { replica: this.#parts.record.row.name, error: messageOf(error) });
        return 'gone';
      }
      return undefined;
    } finally {
      this.#pending = undefined;
    }
  }

  /** One that is stopped by a signal cannot answer, and nor can one whose machine's owner does not. */
  async #silence(signal: AbortSignal): Promise<'silent'> {
    const { record, context } = this.#parts;
    const { machine, spec } = record.row;
    const cannot =
      spec.shares === undefined ? machine !== undefined && isStopped(machine.process.pid) : context.sharing.isSilent(spec.shares.replica);
    if (!cannot) {
      await sleep(ANSWER_MS, signal).catch(() => {});
    }
    return 'silent';
  }

  #tellSilence(): void {
    this.#parts.record.noteSilence(this.#pending?.since ?? Date.now());
    this.#parts.health.silent();
  }
}

const keptError = (row: VmRow, reason: string): HyprError =>
  new HyprError('GUEST_SILENT', `${row.name} runs and cannot be taken over: ${reason}`, { hint: keptHint(row) });

/** What is said about a machine that lives and cannot be taken over. */
export const keptMessage = (row: VmRow, reason: string): string => `${row.name} runs and cannot be taken over: ${reason}; ${keptHint(row)}`;

const keptHint = ({ stack, service }: VmRow): string =>
  `it is left as it is, until it ends or is restarted, without what is on none of its disks yet: hypr -p ${stack} restart ${service}`;
