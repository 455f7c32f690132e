import type { RestartPolicy } from '../../model/spec.ts';

export interface EndOfRun {
  readonly exitCode: number;
  /** Restarts so far in a row. */
  readonly restarts: number;
  readonly stoppedByUser: boolean;
  /** How long the last run lasted, in milliseconds; after ten seconds earlier failures no longer count, as in docker. */
  readonly ranFor: number;
}

export type RestartDecision = { readonly restart: false } | { readonly restart: true; readonly delay: number; readonly restarts: number };

/** Whether a replica that has ended restarts, and after how many milliseconds. Pure. */
export const decideRestart = (policy: RestartPolicy, end: EndOfRun): RestartDecision => {
  const inARow = end.ranFor >= FORGIVEN_AFTER_MS ? 0 : end.restarts;
  if (end.stoppedByUser || !wantsRestart(policy, end.exitCode, inARow)) {
    return { restart: false };
  }
  return { restart: true, delay: Math.min(policy.delay * 2 ** Math.min(inARow, 16), MAX_DELAY_MS), restarts: inARow + 1 };
};

const wantsRestart = (policy: RestartPolicy, exitCode: number, inARow: number): boolean => {
  switch (policy.condition) {
    case 'no':
      return false;
    case 'always':
    case 'unless-stopped':
      return policy.maxAttempts === 0 || inARow < policy.maxAttempts;
    case 'on-failure':
      return exitCode !== 0 && (policy.maxAttempts === 0 || inARow < policy.maxAttempts);
  }
};

const FORGIVEN_AFTER_MS = 10_000;
const MAX_DELAY_MS = 60_000;

/** A replica that was healthy for so long is as good as new: what came before does not count. */
export const HEALED_AFTER_MS = 60_000;
const FIRST_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 5 * 60_000;

/** How long an unhealthy replica is left alone after so many fruitless restarts in a row, in milliseconds. Pure. */
export const healDelay = (inARow: number): number =>
  inARow === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** Math.min(inARow - 1, 16), LONGEST_PAUSE_MS);
