import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import type { Project } from '../../../compose/model/model.ts';
import type { Platform } from '../../../engine/model/platform.ts';
import { StackVolumes } from '../../../engine/resources/volumes.ts';
import type { VolumeRow } from '../../../engine/state/records.ts';
import type { StateStore } from '../../../engine/state/store.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-volumes-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Makes the volume of services that each mount it; sizes of the disks that were made, in MiB. */
const make = async (options: Record<string, string> | undefined, services: readonly string[]): Promise<number[]> => {
  const made: number[] = [];
  const platform = {
    paths: homePaths(dir),
    makeDisk: async ({ sizeMib }: { sizeMib: number }) => void made.push(sizeMib),
  } as unknown as Platform;
  const store = { putVolume: (_: VolumeRow) => {}, volumes: () => [] } as unknown as StateStore;
  const volumes = new StackVolumes({ stack: 'shop', store, platform, awaitGuest: async () => undefined });
  const service = { volumes: [{ type: 'volume', source: 'data', target: '/data' }] };
  const project = {
    services: Object.fromEntries(services.map((name) => [name, service])),
    volumes: { data: { name: 'shop_data', ...(options === undefined ? {} : { driver_opts: options }) } },
  } as unknown as Project;
  await volumes.create(project, 'shop_data', new AbortController().signal);
  return made;
};

describe('a named volume', () => {
  it('is a disk of the size that driver_opts say, or of 64 GiB', async () => {
    expect(await make({ size: '512m' }, ['db'])).toEqual([512]);
    expect(await make({ o: 'size=2g' }, ['db'])).toEqual([2048]);
    expect(await make(undefined, ['db'])).toEqual([65_536]);
  });

  it('that several replicas mount is a folder, for which a size is refused before anything is made', async () => {
    expect(await make(undefined, ['db', 'backup'])).toEqual([]);
    rmSync(join(dir, 'volumes', 'shop_data'), { recursive: true });
    await expect(make({ size: '512m' }, ['db', 'backup'])).rejects.toMatchObject({
      code: 'HYPR_UNSUPPORTED',
      message: expect.stringContaining('shop_data'),
    });
    expect(readdirSync(join(dir, 'volumes'))).toEqual([]);
  });
});
