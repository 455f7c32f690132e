import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import type { Project } from '../../../compose/model/model.ts';
import type { Platform } from '../../../engine/model/platform.ts';
import { ANONYMOUS_LABEL } from '../../../engine/model/volume-name.ts';
import { StackVolumes } from '../../../engine/resources/volumes.ts';
import type { StateStore } from '../../../engine/state/store.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-volumes-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Makes a volume whose disk cannot be made. */
const fail = async (labels: Record<string, string>): Promise<void> => {
  const platform = {
    paths: homePaths(dir),
    makeDisk: ({ path }: { path: string }) => {
      writeFileSync(`${path}.part`, '');
      return Promise.reject(new Error('no space'));
    },
  } as unknown as Platform;
  const store = { volumes: () => [] } as unknown as StateStore;
  const volumes = new StackVolumes({ stack: 'shop', store, platform, awaitGuest: async () => undefined });
  const project = {
    services: { db: { volumes: [{ type: 'volume', source: 'data', target: '/data' }] } },
    volumes: { data: { name: 'shop_data', labels } },
  } as unknown as Project;
  await expect(volumes.create(project, 'shop_data', new AbortController().signal)).rejects.toThrow('no space');
};

describe('a volume that cannot be made', () => {
  it.each([
    ['with a name', {}],
    ['without a name, whose folder has another one each time', { [ANONYMOUS_LABEL]: '' }],
  ])('leaves no folder %s', async (_, labels) => {
    await fail(labels);
    expect(readdirSync(join(dir, 'volumes'))).toEqual([]);
  });

  it('leaves what was in its folder before', async () => {
    const kept = join(dir, 'volumes', 'shop_data', 'kept');
    mkdirSync(kept, { recursive: true });
    await fail({});
    expect(readdirSync(join(dir, 'volumes', 'shop_data'))).toContain('kept');
  });
});
