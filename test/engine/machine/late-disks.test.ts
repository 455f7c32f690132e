import { describe, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { lateDisks, plugDisks } from '../../../engine/machine/late-disks.ts';
import type { BackedMount, ReplicaDisks } from '../../../engine/machine/machine-config.ts';
import type { DiskSpec, Machine, MachineRecord, MachineSpec } from '../../../vmm/model/machine.ts';

const disk = (serial: string, path: string, readOnly = false): DiskSpec => ({ serial, path, format: 'raw', readOnly });

const record = (plugged: DiskSpec[] = []): Pick<MachineRecord, 'spec' | 'plugged'> => ({
  spec: {
    disks: [disk('root', '/image', true), disk('upper', '/web'), disk('m1vol0', '/volume'), disk('m1vol1', '/locked', true)],
    shares: [
      { tag: 'm1share2', path: '/src', readOnly: false, ownership: 'squash' },
      { tag: 'm1share3', path: '/fixed', readOnly: true, ownership: 'squash' },
    ],
  } as unknown as MachineSpec,
  plugged: plugged.map((each, index) => ({ disk: each, port: index + 8 })),
});

const parts = (...mounts: BackedMount[]): ReplicaDisks => ({
  root: { path: '/image', format: 'raw' },
  upper: '/aside',
  upperMib: 64,
  mounts,
});

const volume = (path: string, readOnly?: true): BackedMount => ({
  mount: { kind: 'volume', volume: 'v', target: '/v', readOnly: readOnly === true, subpath: undefined, seed: true },
  backing: { kind: 'disk', path, ...(readOnly ? { readOnly } : {}) },
});

const folder = (path: string, readOnly = false): BackedMount => ({
  mount: { kind: 'bind', source: path, target: '/f', readOnly } as BackedMount['mount'],
  backing: { kind: 'folder', path, ownership: 'squash' },
});

const late = (own: ReplicaDisks, has = record()) => lateDisks(own, { member: 'm2', host: 'shop-vpn-1', record: has });

describe('a one-off that joins a machine', () => {
  test('brings a writable layer and what the machine lacks, and finds the rest under the names it has there', () => {
    const { plug, known } = late(parts(volume('/volume'), volume('/new'), folder('/src', true)));
    expect(plug.map(({ serial, path }) => [serial, path])).toEqual([
      ['m2upper', '/aside'],
      ['m2vol1', '/new'],
    ]);
    expect(Object.fromEntries(known)).toEqual({ m2root: 'root', m2vol0: 'm1vol0', m2share2: 'm1share2' });
  });

  test('finds a disk that another one-off brought', () => {
    const { plug, known } = late(parts(volume('/new')), record([disk('m3vol0', '/new')]));
    expect([plug.map(({ serial }) => serial), known.get('m2vol0')]).toEqual([['m2upper'], 'm3vol0']);
  });

  test('brings its own image and those it mounts, where another one-off brought them, whose they stay', () => {
    const image: BackedMount = {
      mount: { kind: 'image', image: 'i', imageId: 'i', target: '/i', readOnly: true, subpath: undefined } as BackedMount['mount'],
      backing: { kind: 'image', path: '/mounted', format: 'raw' },
    };
    const own = { ...parts(image), root: { path: '/other', format: 'raw' as const } };
    const { plug, known } = late(own, record([disk('m3root', '/other', true), disk('m3vol0', '/mounted', true)]));
    expect(plug.map(({ serial, path }) => [serial, path])).toEqual([
      ['m2root', '/other'],
      ['m2upper', '/aside'],
      ['m2vol0', '/mounted'],
    ]);
    expect([...known]).toEqual([]);
  });

  test('finds what is left of its own in the machine', () => {
    const { plug, known } = late(parts(), record([disk('m2upper', '/aside')]));
    expect([plug, known.get('m2upper')]).toEqual([[], 'm2upper']);
  });

  test.each([
    ['a folder that the machine does not have', folder('/other'), 'HYPR_UNSUPPORTED'],
    ['a folder to write to that it has read-only', folder('/fixed'), 'HYPR_UNSUPPORTED'],
    ['a volume to write to that it has read-only', volume('/locked'), 'VOLUME_IN_USE'],
  ])('is refused %s', (_, mount, code) => {
    expect(() => late(parts(mount))).toThrow(expect.objectContaining({ code }));
  });

  test('leaves nothing plugged in where a disk is refused', async () => {
    const unplugged: string[] = [];
    const machine = {
      plugDisk: async ({ serial }: DiskSpec) => {
        if (serial === 'b') {
          throw new Error('no port');
        }
        return { unplug: async () => void unplugged.push(serial) };
      },
    } as unknown as Machine;
    const plugged = plugDisks(machine, [disk('a', '/a'), disk('b', '/b')], 'shop-vpn-1', new AbortController().signal);
    await expect(plugged).rejects.toMatchObject({ code: 'VMM_START', message: expect.stringContaining('no port') });
    expect(unplugged).toEqual(['a']);
  });

  test('is told why a disk cannot be in a machine that runs, without talk of ports', async () => {
    const reason = new HyprError('HYPR_UNSUPPORTED', 'too large', { hint: 'make it smaller' });
    const machine = { plugDisk: () => Promise.reject(reason) } as unknown as Machine;
    await expect(plugDisks(machine, [disk('a', '/a')], 'shop-vpn-1', new AbortController().signal)).rejects.toBe(reason);
  });
});
