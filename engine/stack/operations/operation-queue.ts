import { type LinkedController, linkedController } from '../../../base/abort.ts';
import { HyprError, messageOf, toHyprError } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import { traced } from '../../../base/trace/trace.ts';
import type { EventBus } from '../../logs/bus.ts';

const log = logger('supervisor');

export interface Operation {
  /** Its name in events: `up`, `stop`. */
  readonly name: string;
  /** A `down` operation interrupts `up` operations, running or queued. */
  readonly kind: 'up' | 'down';
  /** Names of operations that it does not interrupt: half done they would leave down what they are not about. */
  readonly spares?: readonly string[];
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

/** Totals of the operations of one name that have ended. */
export interface OperationTotal {
  readonly count: number;
  readonly failed: number;
  readonly ms: number;
}

/** The queue of operations on one stack: they run one after the other, and the end of each is reported. */
export class Operations {
  readonly #bus: EventBus;
  readonly #onEnd: () => void;
  #turn: Promise<unknown> = Promise.resolve();
  /** Operations that bring something up, running or queued, and their names. */
  readonly #rising = new Map<LinkedController, string>();
  #count = 0;
  #busy = 0;
  readonly #totals = new Map<string, OperationTotal>();

  constructor(bus: EventBus, onEnd: () => void) {
    this.#bus = bus;
    this.#onEnd = onEnd;
  }

  /** By name, since this supervisor started. */
  get totals(): ReadonlyMap<string, OperationTotal> {
    return this.#totals;
  }

  /** Whether any operation runs or is queued. */
  get areUnderWay(): boolean {
    return this.#count > 0;
  }

  /** Whether there is other work, too, such as the removal of a one-off: it starts nothing that prints. */
  get isBusy(): boolean {
    return this.#busy > 0;
  }

  /** Runs an operation in its turn and reports its end. Rejects with the error of `work` or of the interruption. */
  async run({ name, kind, signal, spares = [] }: Operation, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const controller = linkedController(signal);
    if (kind === 'down') {
      this.interruptRising(`interrupted by ${name}`, spares);
    } else {
      this.#rising.set(controller, name);
    }
    const before = this.#turn;
    const mine = (async () => {
      await before.catch(() => {});
      controller.signal.throwIfAborted();
      await this.#timed(name, () => traced(name, 'operations', () => work(controller.signal)));
    })();
    this.#turn = mine;
    this.#count += 1;
    await this.keepBusy(async () => {
      try {
        await mine;
        this.#bus.emit({ type: 'finished', operation: name });
      } catch (error) {
        log.warn('operation failed', { operation: name, error: messageOf(error) });
        this.#bus.emit({ type: 'finished', operation: name, error: toHyprError(error).toJSON() });
        throw error;
      } finally {
        this.#rising.delete(controller);
        this.#count -= 1;
      }
    });
  }

  async #timed(name: string, work: () => Promise<void>): Promise<void> {
    const begin = performance.now();
    let failed = 1;
    try {
      await work();
      failed = 0;
    } finally {
      const before = this.#totals.get(name) ?? { count: 0, failed: 0, ms: 0 };
      const ms = before.ms + performance.now() - begin;
      this.#totals.set(name, { count: before.count + 1, failed: before.failed + failed, ms });
    }
  }

  /** Runs work outside the queue; the stack counts as busy until it ends. */
  async keepBusy(work: () => Promise<void>): Promise<void> {
    this.#busy += 1;
    try {
      await work();
    } finally {
      this.#busy -= 1;
      this.#onEnd();
    }
  }

  interruptRising(why: string, spares: readonly string[] = []): void {
    for (const [controller, name] of this.#rising) {
      if (!spares.includes(name)) {
        controller.abort(new HyprError('HYPR_CANCELLED', why));
      }
    }
  }

  /** Resolves when the last queued operation has ended, successfully or not. */
  async settled(): Promise<void> {
    await this.#turn.catch(() => {});
  }
}
