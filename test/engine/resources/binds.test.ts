import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BackedMount, type MachineParts, machineConfig, machineSpec } from '../../../engine/machine/machine-config.ts';
import type { Platform } from '../../../engine/model/platform.ts';
import type { ReplicaMount, ReplicaSpec } from '../../../engine/model/spec.ts';
import { StackVolumes } from '../../../engine/resources/volumes.ts';
import type { StateStore } from '../../../engine/state/store.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-binds-'));
  writeFileSync(join(dir, 'file'), 'content');
  mkdirSync(join(dir, 'folder'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** `settled`: the disk was mounted before. */
const back = async (mounts: ReplicaMount[], settled = true): Promise<BackedMount[]> => {
  const platform = { settleDisk: () => Promise.resolve(settled) } as unknown as Platform;
  const row = { name: 'data', form: 'disk', path: '/volumes/data/data.ext4' };
  const store = { volumes: () => [row], vms: () => [] } as unknown as StateStore;
  const volumes = new StackVolumes({ stack: 'shop', store, platform, awaitGuest: async () => undefined });
  return volumes.back({ service: 'web', name: 'shop-web-1', mounts } as unknown as ReplicaSpec, new AbortController().signal);
};
const bind = (source: string, readOnly = false): ReplicaMount => ({ kind: 'bind', source, target: '/x', readOnly, create: false });
const volume = (target: string, readOnly: boolean): ReplicaMount => ({
  kind: 'volume',
  volume: 'data',
  target,
  readOnly,
  subpath: undefined,
  seed: true,
});
const parts = (mounts: BackedMount[]) =>
  ({ mounts, nics: [], root: { path: '/r', format: 'raw' }, upper: '/u/upper.ext4', siblings: 0 }) as unknown as MachineParts;
const config = (mounts: BackedMount[]) =>
  machineConfig({
    spec: { extraHosts: [] } as unknown as ReplicaSpec,
    parts: parts(mounts),
    resolver: {} as never,
    hosts: [],
    files: [],
    machineId: '',
  });

describe('a bind', () => {
  test('of a file gives the machine that file, never its folder', async () => {
    const [share] = machineSpec(parts(await back([bind(join(dir, 'file'))]))).shares;
    expect(share).toMatchObject({ path: join(dir, 'file'), file: true, readOnly: false });
  });

  test('of a file that is only to be read is read-only in the guest, copied or shared', async () => {
    const small = await back([bind(join(dir, 'file'), true)]);
    expect(config(small).files).toMatchObject([{ path: '/x', readOnly: true }]);
    writeFileSync(join(dir, 'large'), Buffer.alloc(5 * 2 ** 20));
    const large = await back([bind(join(dir, 'large'), true)]);
    expect(machineSpec(parts(large)).shares).toMatchObject([{ path: join(dir, 'large'), file: true, readOnly: true }]);
    expect(config(large).mounts).toMatchObject([{ file: 'large', readOnly: true }]);
  });

  test('of a device or a pipe of the host is refused at once, through links too', async () => {
    execFileSync('mkfifo', [join(dir, 'fifo')]);
    symlinkSync('/dev/zero', join(dir, 'link'));
    for (const source of ['/dev/zero', '/dev/random', join(dir, 'fifo'), join(dir, 'link')]) {
      for (const readOnly of [true, false]) {
        await expect(back([bind(source, readOnly)])).rejects.toMatchObject({ code: 'HYPR_UNSUPPORTED' });
      }
    }
  });

  test('of /dev/null hides a file, as ever', async () => {
    expect(await back([bind('/dev/null', true)])).toMatchObject([{ backing: { kind: 'file', content: Buffer.alloc(0) } }]);
  });
});

describe('the disk of a volume', () => {
  const disk = async (mounts: ReplicaMount[], settled?: boolean) => machineSpec(parts(await back(mounts, settled))).disks.slice(2);

  test('is attached for reading only when no mount of the machine may write to it', async () => {
    expect(await disk([volume('/a', true)])).toMatchObject([{ readOnly: true }]);
    expect(await disk([volume('/a', false)])).toMatchObject([{ readOnly: false }]);
    expect((await disk([volume('/a', true), volume('/b', false)])).some(({ readOnly }) => readOnly)).toBe(false);
  });

  test('can be filled from the image by its first machine, and by no later one that only reads', async () => {
    expect(await disk([volume('/a', true)], false)).toMatchObject([{ readOnly: false }]);
    expect(config(await back([volume('/a', true)], false)).mounts).toMatchObject([{ seed: true, readOnly: true }]);
    expect(config(await back([volume('/a', true)])).mounts).toMatchObject([{ seed: false, readOnly: true }]);
  });
});
