import { type LinkedController, linkedController } from '../../base/abort.ts';
import { sleep } from '../../base/deadline.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { isStopped } from '../../base/host/process.ts';
import { logger } from '../../base/log.ts';
import { POWER_OFF_MS } from './boot/power-down.ts';
import type { ReplicaParts } from './parts.ts';
import { lostPatch } from './status.ts';

const log = logger('adoption');

/** How long a machine may take to answer before it is said to be silent and nobody waits for it. */
const ANSWER_MS = 30_000;

/** `silent`: its machine lives and does not answer; it is taken over when it does. */
export type Adopted = 'adopted' | 'gone' | 'silent';

interface Pending {
  readonly controller: LinkedController;
  readonly since: number;
}

/**
 * The taking over of a run that an earlier supervisor started. A machine whose process lives is never ended because it does not answer: it
 * may be stopped by a signal, its host asleep, its disk full or its processor taken, and it goes on with all that it has not written yet.
 */
export class Adoption {
  readonly #parts: ReplicaParts;
  readonly #adopt: (signal: AbortSignal) => Promise<boolean>;
  #pending: Pending | undefined;
  /** Never rejects. Undefined: given up, or never begun. */
  #outcome: Promise<'adopted' | 'gone' | undefined> = Promise.resolve(undefined);

  /** `adopt` waits until the machine answers (true) or has ended (false). */
  constructor(parts: ReplicaParts, adopt: (signal: AbortSignal) => Promise<boolean>) {
    this.#parts = parts;
    this.#adopt = adopt;
  }

  /** Whether the replica has a machine that does not answer yet. */
  get isPending(): boolean {
    return this.#pending !== undefined;
  }

  /** Takes it over, or says after a while that it is silent; then `ended` tells what came of it. */
  async begin(signal: AbortSignal): Promise<Adopted> {
    const controller = linkedController(signal);
    this.#pending = { controller, since: Date.now() };
    this.#outcome = this.#settle(controller.signal);
    const patience = linkedController(signal);
    const found = await Promise.race([this.#outcome, this.#silence(patience.signal)]);
    patience.abort();
    signal.throwIfAborted();
    if (found === 'silent') {
      this.#tellSilence();
    }
    return found ?? 'gone';
  }

  /** Resolves when nobody waits for the machine any more; undefined if there was nothing to wait for, or it was given up. */
  ended(): Promise<'adopted' | 'gone' | undefined> {
    return this.#outcome;
  }

  /** Throws GUEST_SILENT while the machine does not answer: there is no way to do anything in it. */
  refuse(): void {
    if (this.#pending !== undefined) {
      throw this.#parts.responsiveness.silentError(this.#pending.since);
    }
  }

  /** Before a stop: waits as long as a stop may take for a machine that is silent, then ends it, because it was asked for. */
  async endWithin(graceMs: number): Promise<void> {
    if (this.#pending === undefined) {
      return;
    }
    const late = linkedController(undefined);
    await Promise.race([this.#outcome, sleep(graceMs + POWER_OFF_MS, late.signal).catch(() => {})]);
    late.abort();
    await this.kill();
  }

  /** Ends a machine that is silent now, with everything that it has not written. */
  async kill(): Promise<void> {
    const { record, context } = this.#parts;
    if (this.#pending === undefined) {
      return;
    }
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
    record.update(lostPatch('its machine did not respond and was ended'));
    record.emit('die');
    context.onChange();
  }

  /** Waits no longer, and leaves the machine as it is. */
  async release(): Promise<void> {
    const { name } = this.#parts.record.row;
    this.#pending?.controller.abort(new HyprError('HYPR_CANCELLED', `${name} is not waited for any longer`));
    await this.#outcome;
  }

  async #settle(signal: AbortSignal): Promise<'adopted' | 'gone' | undefined> {
    try {
      if (await this.#adopt(signal)) {
        return 'adopted';
      }
      this.#parts.record.noteStall(undefined);
      return 'gone';
    } catch (error) {
      if (!signal.aborted) {
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
