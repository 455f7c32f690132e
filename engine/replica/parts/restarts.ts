import { messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import { nextState } from '../../model/lifecycle.ts';
import type { VmRow } from '../../state/records.ts';
import { type Attempts, pauseFor } from './attempts.ts';
import type { ReplicaHealth } from './probe-health.ts';
import type { ReplicaRecord } from './record.ts';
import { decideRestart, HEALED_AFTER_MS, healDelay } from './restart-policy.ts';

const log = logger('restarts');

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
   * Both in one update: a client that saw `exited` would take it for the end. `unbooted`: its machine did not start.
   */
  byPolicy(ended: Partial<VmRow>, { unbooted = false } = {}): EndByPolicy {
    const row = { ...this.#record.row, ...ended };
    const { spec, restarts, stoppedByUser, startedAt, finishedAt, state } = row;
    const exitCode = unbooted ? 1 : (ended.exitCode ?? 0);
    // Of a boot that failed the record still has when its last run started: that one was judged by how it ended.
    const ranFor = unbooted ? 0 : (finishedAt ?? 0) - (startedAt ?? 0);
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
      const { patch, begin } = this.byPolicy({}, { unbooted: true });
      if (patch.state !== undefined) {
        this.#record.update(patch);
      }
      begin();
      this.#options.onChange();
    }
    return failure;
  }
}

/**
 * `restart_unhealthy`: a new run in place of one that its health check has given up. The first time at once, then after pauses that
 * double: what a restart does not mend must not boot a machine again and again.
 */
export class Healing {
  readonly #parts: { readonly record: ReplicaRecord; readonly health: ReplicaHealth; readonly restarts: ReplicaRestarts };
  readonly #again: (signal: AbortSignal) => Promise<void>;
  #inARow = 0;

  /** `again` ends the run and starts the next one. */
  constructor(
    parts: { record: ReplicaRecord; health: ReplicaHealth; restarts: ReplicaRestarts },
    again: (signal: AbortSignal) => Promise<void>,
  ) {
    this.#parts = parts;
    this.#again = again;
  }

  /** Called when a run becomes unhealthy. */
  ifAsked(): void {
    const { record, health, restarts } = this.#parts;
    const { spec, stoppedByUser } = record.row;
    if (spec.restartUnhealthy !== true || stoppedByUser) {
      return;
    }
    this.#inARow = health.wellForMs >= HEALED_AFTER_MS ? 0 : this.#inARow;
    const pause = healDelay(this.#inARow);
    this.#inARow += 1;
    if (pause > 0) {
      record.update({ reason: `${record.row.reason ?? 'unhealthy'}; is started again after ${pause / 1000} s` });
    }
    const { run } = record.row;
    const heal = async (signal: AbortSignal): Promise<void> => {
      await pauseFor(pause, signal);
      if (record.row.state === 'paused') {
        // It is asked again by the next probe, when it is no longer paused.
        health.tellAgain();
        return;
      }
      // It may have recovered, or somebody else has started it again.
      if (!signal.aborted && record.row.health === 'unhealthy' && record.row.run === run && record.row.state === 'running') {
        record.update({ restarts: record.row.restarts + 1 });
        record.emit('restart');
        await this.#again(signal);
      }
    };
    restarts
      .run(heal)
      .catch((error: unknown) =>
        log.warn('an unhealthy replica was not started again', { replica: record.row.name, error: messageOf(error) }),
      );
  }
}
