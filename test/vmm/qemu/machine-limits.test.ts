import { expect, test } from 'vitest';
import { machineLimits } from '../../../vmm/qemu/machine-limits.ts';

const size = { memoryMib: 512, vcpus: 2, shares: 0, accelerated: true };

test('a machine may use its guest’s memory and what QEMU needs, and a processor more than it has', () => {
  expect(machineLimits(size)).toEqual({ memoryBytes: 1032 * 2 ** 20, cpus: 3, tasks: 512 });
});

test('emulation has room for its code, and each share for its daemon and the files that the guest knows', () => {
  expect(machineLimits({ ...size, accelerated: false }).memoryBytes).toBe(2056 * 2 ** 20);
  expect(machineLimits({ ...size, shares: 2 })).toEqual({ memoryBytes: (1544 + 1280) * 2 ** 20, cpus: 3, tasks: 640 });
});

test('what the daemons of shares hold for a large guest is bounded by how many files they may open', () => {
  const [one, two] = [1, 2].map((shares) => machineLimits({ ...size, memoryMib: 8192, shares }).memoryBytes ?? 0);
  expect(((two ?? 0) - (one ?? 0)) / 2 ** 20).toBeCloseTo(256 + 2442, -1);
});

test('a machine whose disks or shares are memory has no limit of it', () => {
  expect(machineLimits({ ...size, filesInMemory: true }).memoryBytes).toBeUndefined();
});
