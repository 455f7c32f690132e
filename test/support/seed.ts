import { randomInt } from 'node:crypto';
import type { Parameters } from 'fast-check';

const numberOf = (name: string): number | undefined => {
  const text = process.env[name];
  if (text === undefined || text === '') {
    return undefined;
  }
  if (!/^\d+$/.test(text)) {
    throw new Error(`${name} must be a whole number, not ${text}`);
  }
  return Number(text);
};

/**
 * The seed of everything random in a run of the tests: another one each time, so that every run looks at other inputs.
 * vitest.config.ts chooses it for all workers and the reporter prints it; HYPR_TEST_SEED=N repeats a run.
 */
export const SEED = numberOf('HYPR_TEST_SEED') ?? randomInt(2 ** 31);

/** HYPR_TEST_RUNS=20 tries twenty times as many inputs. */
const FACTOR = numberOf('HYPR_TEST_RUNS') ?? 1;

/** How often to try when `usual` is what an ordinary run has time for. */
export const times = (usual: number): number => usual * FACTOR;

/**
 * Parameters of `fc.assert`. An input that failed once is pinned beside the property, as one of `examples`: those are tried
 * first in every run.
 */
export const runs = <T>(usual: number, more: Parameters<T> = {}): Parameters<T> => ({ seed: SEED, numRuns: times(usual), ...more });

/** mulberry32: numbers from 0 up to 1, the same ones for the same seed on every machine. */
export const randomNumbers = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
};
