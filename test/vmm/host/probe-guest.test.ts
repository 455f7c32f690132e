import { describe, expect, it, vi } from 'vitest';
import { runProbeGuest } from '../../../vmm/host/probe-guest.ts';
import type { Machine, MachineExit, Vmm } from '../../../vmm/model/machine.ts';
import { tempDir } from '../support.ts';

/** A machine whose agent never answers, and whose memory is what `memory` says. */
const silentVmm = (memory: () => number, exited: Promise<MachineExit> = new Promise(() => {})) => {
  const ended = vi.fn(async () => {});
  const machine = {
    record: { agentSocket: '/nowhere/agent.sock' },
    exited,
    start: async () => {},
    memory: async () => memory(),
    delete: ended,
  } as unknown as Machine;
  return { ended, vmm: { create: async () => machine } as unknown as Vmm };
};

describe('the guest that tells whether KVM works', () => {
  it('is given up when it touches no further memory, long before its time is over', async () => {
    vi.stubEnv('HYPR_RUNTIME_DIR', tempDir());
    const { vmm, ended } = silentVmm(() => 40 << 20);
    await expect(runProbeGuest(vmm, undefined, { stallMs: 600, totalMs: 60_000 })).rejects.toMatchObject({
      code: 'HYPR_TIMEOUT',
      message: 'the probe guest made no progress for 1 s',
    });
    expect(ended).toHaveBeenCalledOnce();
  });

  it('is waited for as long as it does, up to its time', async () => {
    vi.stubEnv('HYPR_RUNTIME_DIR', tempDir());
    const begin = Date.now();
    const { vmm } = silentVmm(() => (Date.now() - begin) << 12);
    await expect(runProbeGuest(vmm, undefined, { stallMs: 600, totalMs: 2_500 })).rejects.toMatchObject({
      code: 'HYPR_TIMEOUT',
      message: 'the probe guest did not come within 2.5 s',
    });
  });

  it('is not waited for when its machine ends', async () => {
    vi.stubEnv('HYPR_RUNTIME_DIR', tempDir());
    const exit: MachineExit = { reason: 'crashed', detail: 'the virtual processor failed (KVM internal error)', lastLines: [] };
    const { vmm } = silentVmm(() => 0, Promise.resolve(exit));
    await expect(runProbeGuest(vmm)).rejects.toMatchObject({ code: 'VMM_DIED', message: exit.detail });
  });
});
