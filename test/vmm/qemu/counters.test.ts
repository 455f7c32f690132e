import { expect, it } from 'vitest';
import { readCounters } from '../../../vmm/qemu/counters.ts';
import type { Qmp } from '../../../vmm/qemu/qmp.ts';

/** As QEMU 10 answers: one entry for the machine, one for each processor; histograms are lists. */
const ANSWERS = {
  vm: [{ stats: [{ name: 'remote_tlb_flush', value: 3 }] }],
  vcpu: [
    {
      stats: [
        { name: 'exits', value: 10 },
        { name: 'halt_poll_success_hist', value: [1, 2] },
      ],
    },
    { stats: [{ name: 'exits', value: 5 }] },
  ],
};

it("sums what KVM counted over a machine's processors, without histograms", async () => {
  const run = async (_: string, { target }: { target: 'vm' | 'vcpu' }) => ANSWERS[target];
  expect(await readCounters({ run } as unknown as Qmp)).toEqual({ remote_tlb_flush: 3, exits: 15 });
});
