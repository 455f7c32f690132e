import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import type { ProcessIdentity } from '../../../base/host/process.ts';
import type { MachineSpec } from '../../../vmm/model/machine.ts';
import type { Template } from '../../../vmm/template/types.ts';
import type { Zygote, ZygoteInput } from '../../../vmm/zygote/zygote.ts';
import { createZygotePool } from '../../../vmm/zygote/zygote-pool.ts';
import { toolchain } from '../support.ts';

const settings = { accelerator: 'tcg' as const, tscKhz: 2_000_000, toolchain: toolchain({ preload: '/p/preload.so' }) };
const template: Template = { key: 'abcdefgh12345678', ram: '/t/ram', state: '/t/state', upper: '/t/upper' };
const process: ProcessIdentity = { pid: 7, startTime: '1' };

const makeSpec = (siblings: number, changes: Partial<MachineSpec> = {}): MachineSpec => ({
  name: 'web-1',
  runDir: '/run/stack/m-1',
  consoleLog: '/log/web-1',
  vcpus: 1,
  memoryMib: 512,
  disks: [
    { serial: 'root', path: '/i/root.vmdk', format: 'vmdk', readOnly: true },
    { serial: 'upper', path: '/m/upper', format: 'raw', readOnly: false, blank: { sizeMib: 1024, label: 'upper' } },
  ],
  nics: [{ id: 'n0', mac: '02:00:00:00:00:01', mtu: 1500 }],
  shares: [],
  siblings,
  ...changes,
});

/** A zygote without a process, and what was done with it. */
const makeStart = (copy: () => Promise<ProcessIdentity> = async () => process) => {
  const inputs: ZygoteInput[] = [];
  const log = { ends: 0, copies: 0 };
  let begin: () => void = () => {};
  const started = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const zygote: Zygote = {
    copy: () => {
      log.copies += 1;
      return copy();
    },
    ended: new Promise(() => {}),
    end: async () => {
      log.ends += 1;
    },
  };
  const start = async (input: ZygoteInput): Promise<Zygote> => {
    inputs.push(input);
    await started;
    return zygote;
  };
  return { start, begin: () => begin(), inputs, log };
};

const request = (spec: MachineSpec) => ({ spec, template, nics: spec.nics.map(() => new Socket()) });

describe('a zygote pool', () => {
  it('starts one zygote for many machines of an image: the first waits for it, others do not', async () => {
    const { start, begin, inputs, log } = makeStart();
    const pool = createZygotePool({ settings, start });
    const first = pool.copy(request(makeSpec(5)));
    expect(await pool.copy(request(makeSpec(4)))).toBeUndefined();
    begin();
    expect(await first).toEqual(process);
    // Also the last ones, for which none would have been started.
    expect(await pool.copy(request(makeSpec(0)))).toEqual(process);
    expect(inputs).toHaveLength(1);
    expect(inputs[0]?.runDir).toBe('/run/stack/z1-abcdef');
    expect(log).toEqual({ ends: 0, copies: 2 });
  });

  it('starts none where a copy could not give up the files of its siblings', async () => {
    const { start, begin, inputs } = makeStart();
    begin();
    const fence = { landlock: 0, way: 'view', files: true, calls: true, privileges: true } as const;
    const pool = createZygotePool({ settings, start, probe: async () => fence });
    expect(await pool.copy(request(makeSpec(5)))).toBeUndefined();
    expect(await pool.copy(request(makeSpec(5)))).toBeUndefined();
    expect(inputs).toEqual([]);
  });

  it('does not start one for a few machines, nor for what is more than a root, a layer and a NIC', async () => {
    const { start, begin, inputs } = makeStart();
    begin();
    const pool = createZygotePool({ settings, start });
    const disk = { serial: 'vol0', path: '/v', format: 'raw' as const, readOnly: false };
    const share = { tag: 's', path: '/s', readOnly: false, ownership: 'squash' as const };
    const specs = [
      makeSpec(2),
      makeSpec(9, { disks: [...makeSpec(9).disks, disk] }),
      makeSpec(9, { shares: [share] }),
      makeSpec(9, { nics: [] }),
    ];
    for (const spec of specs) {
      expect(await pool.copy(request(spec))).toBeUndefined();
    }
    expect(await pool.copy({ ...request(makeSpec(9)), template: { ...template, upper: undefined } })).toBeUndefined();
    const kvm = createZygotePool({ settings: { ...settings, accelerator: 'kvm' }, start });
    expect(await kvm.copy(request(makeSpec(9)))).toBeUndefined();
    const without = createZygotePool({ settings: { ...settings, toolchain: toolchain() }, start });
    expect(await without.copy(request(makeSpec(9)))).toBeUndefined();
    expect(inputs).toHaveLength(0);
  });

  it('gives up a zygote that cannot be copied: machines begin without', async () => {
    const { start, begin, inputs, log } = makeStart(() => Promise.reject(new HyprError('VMM_START', 'no memory')));
    begin();
    const pool = createZygotePool({ settings, start });
    expect(await pool.copy(request(makeSpec(5)))).toBeUndefined();
    expect(await pool.copy(request(makeSpec(4)))).toBeUndefined();
    expect(inputs).toHaveLength(1);
    expect(log).toEqual({ ends: 1, copies: 1 });
  });

  it('does not try again what did not start', async () => {
    let starts = 0;
    const start = async (): Promise<Zygote> => {
      starts += 1;
      throw new HyprError('VMM_START', 'no');
    };
    const pool = createZygotePool({ settings, start });
    expect(await pool.copy(request(makeSpec(5)))).toBeUndefined();
    expect(await pool.copy(request(makeSpec(5)))).toBeUndefined();
    expect(starts).toBe(1);
  });

  it('passes an abort on, and may start one for the next command', async () => {
    const abort = new AbortController();
    const { start, begin, inputs } = makeStart();
    const pool = createZygotePool({
      settings,
      start: async (input) => {
        input.signal?.throwIfAborted();
        return await start(input);
      },
    });
    abort.abort(new HyprError('HYPR_CANCELLED', 'Ctrl-C'));
    await expect(pool.copy({ ...request(makeSpec(5)), signal: abort.signal })).rejects.toMatchObject({ code: 'HYPR_CANCELLED' });
    begin();
    expect(await pool.copy(request(makeSpec(5)))).toEqual(process);
    expect(inputs).toHaveLength(1);
  });

  it('ends a zygote that has nothing to do', async () => {
    const { start, begin, log } = makeStart();
    begin();
    const pool = createZygotePool({ settings, start, idleMs: 0 });
    expect(await pool.copy(request(makeSpec(5)))).toEqual(process);
    await expect.poll(() => log.ends).toBe(1);
  });
});
