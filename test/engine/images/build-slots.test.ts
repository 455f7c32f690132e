import { describe, expect, test } from 'vitest';
import type { Slots } from '../../../builder/model/slots.ts';
import { machinesAtOnce, withBuildSlots } from '../../../engine/images/build-slots.ts';

describe('build machines that work at once', () => {
  test.each([
    [{ cores: 2, freeMib: 24_000, machineMib: 2048 }, 2],
    [{ cores: 16, freeMib: 64_000, machineMib: 2048 }, 8],
    [{ cores: 16, freeMib: 7000, machineMib: 2048 }, 3],
    [{ cores: 16, freeMib: 500, machineMib: 2048 }, 1],
    [{ cores: 1, freeMib: 64_000, machineMib: 128 }, 2],
  ])('%j: %i', (host, count) => {
    expect(machinesAtOnce(host)).toBe(count);
  });

  test('builds side by side have the same slots; those after them measure anew', async () => {
    const host = { cores: 2, machineMib: 1 };
    const same = async (slots: Slots) => slots;
    const [one, two] = await withBuildSlots(host, async (slots) => [slots, await withBuildSlots(host, same)]);
    expect(two).toBe(one);
    await expect(withBuildSlots(host, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(await withBuildSlots(host, same)).not.toBe(one);
  });
});
