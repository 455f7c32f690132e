import { expect, inject, test } from 'vitest';
import { measureNames } from '../../bench/names.ts';

const ROUNDS = 2;
/** The aim is 200 ms, which the figures it prints show on a quiet machine; it only tells that nothing waits for the next tick of a clock. */
const MOST_MS = 10_000;

test('names answer when their services are healthy, and go with them: started, scaled, renamed, taken down', async () => {
  const env = { HYPR_HOME: inject('hyprHome'), HYPR_REGISTRY_MIRRORS: inject('mirrors') };
  const times = await measureNames({ env, rounds: ROUNDS });
  process.stdout.write(`${JSON.stringify(times, (_, value: unknown) => (typeof value === 'number' ? Math.round(value) : value))}\n`);
  for (const [figure, all] of Object.entries(times)) {
    expect(all, figure).toHaveLength(ROUNDS);
    expect(Math.max(...all.map(({ ms }) => ms)), figure).toBeLessThan(MOST_MS);
  }
}, 600_000);
