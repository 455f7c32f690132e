import { expect, test } from 'vitest';
import { machineLimits } from '../../../vmm/qemu/machine-limits.ts';

const size = { memoryMib: 512, vcpus: 2, shares: 0, accelerated: true };

test('a machine may use its guest’s memory and what QEMU needs, and a processor more than it has', () => {
  expect(machineLimits(size)).toEqual({ memoryBytes: 1032 * 2 ** 20, cpus: 3, tasks: 512 });
});

test('emulation has room for its code, and each share for its daemon', () => {
  expect(machineLimits({ ...size, accelerated: false }).memoryBytes).toBe(2056 * 2 ** 20);
  expect(machineLimits({ ...size, shares: 2 })).toEqual({ memoryBytes: 1544 * 2 ** 20, cpus: 3, tasks: 640 });
});

test('a machine whose disks are memory has no limit of it', () => {
  expect(machineLimits({ ...size, disksInMemory: true }).memoryBytes).toBeUndefined();
});
