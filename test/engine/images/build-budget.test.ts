import { describe, expect, test } from 'vitest';
import type { MachineScheduler } from '../../../builder/model/machine-scheduler.ts';
import { buildBudget, withBuildBudget } from '../../../engine/images/build-budget.ts';

describe('what build machines may take of the host', () => {
  test.each([
    [{ cores: 2, freeMib: 24_000 }, 2],
    [{ cores: 16, freeMib: 64_000 }, 8],
    [{ cores: 1, freeMib: 500 }, 2],
  ])('%j: %i work at once', (host, working) => {
    expect(buildBudget(host)).toEqual({ working, memoryMib: host.freeMib });
  });

  test('builds side by side have the same scheduler; those after them measure anew', async () => {
    const same = async (scheduler: MachineScheduler) => scheduler;
    const [one, two] = await withBuildBudget(async (scheduler) => [scheduler, await withBuildBudget(same)]);
    expect(two).toBe(one);
    await expect(withBuildBudget(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(await withBuildBudget(same)).not.toBe(one);
  });
});
