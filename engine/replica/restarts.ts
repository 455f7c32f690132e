import { nextState } from '../model/lifecycle.ts';
import { type Attempts, pauseFor } from './attempts.ts';
import type { ReplicaRecord } from './record.ts';
import { decideRestart } from './restart-policy.ts';

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

  byPolicy(exitCode: number): void {
    if (this.#record.isOver) {
      return;
    }
    const { spec, restarts, stoppedByUser, startedAt, finishedAt, state } = this.#record.row;
    const ranFor = (finishedAt ?? 0) - (startedAt ?? 0);
    const decision = decideRestart(spec.restart, { exitCode, restarts, stoppedByUser, ranFor });
    if (decision.restart) {
      this.#record.update({ state: nextState(state, 'retry'), restarts: decision.restarts });
      this.#record.emit('restart');
      this.after(decision.delay);
    }
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
      this.byPolicy(1);
      this.#options.onChange();
    }
    return failure;
  }
}
