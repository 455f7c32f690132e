import { nextState } from '../model/lifecycle.ts';
import type { VmRow } from '../state/records.ts';
import { type Attempts, pauseFor } from './attempts.ts';
import type { ReplicaRecord } from './record.ts';
import { decideRestart } from './restart-policy.ts';

export interface EndByPolicy {
  readonly patch: Partial<VmRow>;
  readonly begin: () => void;
}

/** Restarts a replica that has ended, as its restart policy says. */
export class ReplicaRestarts {
  readonly #record: ReplicaRecord;
  readonly #attempts: Attempts;
  readonly #options: { readonly bringUp: (signal: AbortSignal) => Promise<void>; readonly onChange: () => void };

  constructor(
    record: ReplicaRecord,
    attempts: Attempts,
    options: { bringUp: (signal: AbortSignal) => Promise<void>; onChange: () => void },
  ) {
    this.#record = record;
    this.#attempts = attempts;
    this.#options = options;
  }

  /**
   * What an end comes to by the restart policy: the patch of the record, and what begins the pause before the next start.
   * Both in one update: a client that saw `exited` would take it for the end.
   */
  byPolicy(ended: Partial<VmRow>, exitCode = ended.exitCode ?? 0): EndByPolicy {
    const row = { ...this.#record.row, ...ended };
    const { spec, restarts, stoppedByUser, startedAt, finishedAt, state } = row;
    const ranFor = (finishedAt ?? 0) - (startedAt ?? 0);
    const decision = decideRestart(spec.restart, { exitCode, restarts, stoppedByUser, ranFor });
    if (this.#record.isOver || !decision.restart) {
      return { patch: ended, begin: () => {} };
    }
    return {
      patch: { ...ended, state: nextState(state, 'retry'), restarts: decision.restarts },
      begin: () => {
        this.#record.emit('restart');
        this.after(decision.delay);
      },
    };
  }

  after(delay: number): void {
    void this.run(async (signal) => {
      await pauseFor(delay, signal);
      if (!signal.aborted && this.#record.row.state === 'restarting') {
        await this.#options.bringUp(signal);
      }
    });
  }

  /** Runs `work` as an attempt; the restart policy applies to a boot that fails in it. */
  async run(work: (signal: AbortSignal) => Promise<void>): Promise<unknown> {
    const failure = await this.#attempts.run(work);
    if (failure !== undefined && this.#record.row.state === 'dead') {
      const { patch, begin } = this.byPolicy({}, 1);
      if (patch.state !== undefined) {
        this.#record.update(patch);
      }
      begin();
      this.#options.onChange();
    }
    return failure;
  }
}
