import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { decodeCacheConfig } from '../../../builder/cache-export/cache-format.ts';

import type { BuildRequest } from '../../../builder/model/types.ts';

import { runs } from '../../support/seed.ts';

import { thrown, Workshop } from '../solver/workshop.ts';

const FILE =
  'FROM busybox AS base\nCOPY a /a\nRUN random\nWORKDIR /w\nFROM busybox\nRUN other\nCOPY --from=base /out /out\nCOPY sub /sub\nENV x=1\n';

/** Another host: the same context and base image, nothing built yet, RUN gives something else each time. */
const open = async (): Promise<Workshop> => {
  const shop = new Workshop();
  await shop.busybox();
  shop.file('a', 'one');
  shop.file('sub/b', 'two');
  shop.machines.program = ({ args }) => ({ files: { [`out/${args.at(-1)}`]: randomBytes(20).toString('hex') } });
  return shop;
};

describe('caches elsewhere', () => {
  let here: Workshop;
  let there: Workshop;
  let cache: string;
  beforeEach(async () => {
    here = await open();
    there = await open();
    cache = join(here.folder, 'cache');
  });
  afterEach(() => {
    here.close();
    there.close();
  });
  const to = (extra = ''): Partial<BuildRequest> => ({ cacheTo: [`type=local,dest=${cache}${extra}`] });
  const from: () => Partial<BuildRequest> = () => ({ cacheFrom: [`type=local,src=${cache}`] });
  const warnings = (shop: Workshop) => shop.events.flatMap((event) => (event.type === 'warning' ? event.message : []));
  const steps = (shop: Workshop) => shop.steps().filter((step) => /^\[(base|stage)/.test(step));
  const blobs = () => readdirSync(join(cache, 'blobs/sha256'));

  it('mode=max: every step is found again on another host, with the same random output and the same digest', async () => {
    const first = await here.build(FILE, to(',mode=max'));
    const second = await there.build(FILE, from());
    expect(second.imageId).toBe(first.imageId);
    expect(there.machines.started).toHaveLength(0);
    expect(steps(there).filter((step) => !step.endsWith('cached'))).toEqual([]);
    expect(there.steps()[0]).toContain('load build definition');
    expect(there.steps()).toContain(`importing cache manifest from ${cache}: done`);
    for (const name of blobs()) {
      expect(
        createHash('sha256')
          .update(readFileSync(join(cache, 'blobs/sha256', name)))
          .digest('hex'),
      ).toBe(name);
    }
    // A build that was itself out of the cache exports the same.
    const index = readFileSync(join(cache, 'index.json'), 'utf8');
    rmSync(cache, { recursive: true });
    await there.build(FILE, to(',mode=max'));
    const third = await open();
    try {
      expect((await third.build(FILE, from())).imageId).toBe(first.imageId);
    } finally {
      third.close();
    }
    expect(index).toContain('org.opencontainers.image.ref.name');
  });

  it('mode=min holds the layers of the result only', async () => {
    const one = 'FROM busybox\nRUN random\nCOPY a /a\n';
    const first = await here.build(one, to());
    expect((await there.build(one, from())).imageId).toBe(first.imageId);
    rmSync(cache, { recursive: true });
    await here.build(FILE, to(',compression=uncompressed'));
    // RUN other, COPY --from, COPY; the config and the manifest.
    expect(blobs()).toHaveLength(5);
  });

  it('the same inputs changed: steps before the change hit, those after do not', async () => {
    await here.build(FILE, to(',mode=max'));
    there.file('sub/b', 'changed');
    await there.build(FILE, from());
    expect(steps(there).filter((step) => !step.endsWith('cached'))).toEqual(['[stage-1 4/4] COPY sub /sub: done']);
  });

  it('a damaged layer is a warning and a step that runs', async () => {
    await here.build(FILE, to(',mode=max,compression=uncompressed'));
    for (const name of blobs()) {
      const path = join(cache, 'blobs/sha256', name);
      const data = readFileSync(path);
      if (data[0] !== 0x7b) {
        writeFileSync(path, Buffer.concat([data, Buffer.alloc(512, 1)]));
      }
    }
    const result = await there.build(FILE, from());
    expect(there.machines.started.length).toBeGreaterThan(0);
    expect(warnings(there)[0]).toMatch(/^a layer of the cache .* cannot be used: /);
    expect(await there.tree(result.blob.rootfs.diff_ids)).toBeDefined();
  });

  it.each([
    ['not there', () => {}],
    ['no JSON', () => writeFileSync(join(cache, 'index.json'), '{')],
    ['another tag', () => writeFileSync(join(cache, 'index.json'), '{"manifests":[]}')],
    ['without blobs', () => rmSync(join(cache, 'blobs'), { recursive: true })],
  ])('a cache that is %s is a warning', async (_what, damage) => {
    if (_what !== 'not there') {
      await here.build('FROM busybox\nRUN x\n', to());
    }
    damage();
    await there.build('FROM busybox\nRUN x\n', from());
    expect(warnings(there)).toEqual([expect.stringMatching(/^the cache .* cannot be used: /)]);
    expect(there.steps()).toContain('[2/2] RUN x: done');
  });

  it('--no-cache does not look at it, but writes it; --no-cache-filter does so for one stage', async () => {
    await here.build(FILE, to(',mode=max'));
    await there.build(FILE, { ...from(), noCache: true });
    expect(there.cached().filter((name) => !name.includes('FROM'))).toEqual([]);
    const third = await open();
    try {
      await third.build(FILE, { ...from(), noCacheFilter: ['BASE'] });
      expect(steps(third).filter((step) => step.startsWith('[base') && !step.includes('FROM'))).toEqual([
        '[base 2/4] COPY a /a: done',
        '[base 3/4] RUN random: done',
        '[base 4/4] WORKDIR /w: done',
      ]);
      expect(third.cached()).toContain('[stage-1 2/4] RUN other');
    } finally {
      third.close();
    }
  });

  it('tags that are written at the same time, beside an image with the tag of one', async () => {
    const image = { outputs: [`type=oci,dest=${cache},tar=false`], tags: ['shop:x'] };
    await here.run('FROM busybox\nRUN image\n', image);
    await Promise.all(['x', 'y', 'z'].map((tag) => here.run(`FROM busybox\nRUN ${tag}\n`, to(`,tag=${tag}`))));
    for (const tag of ['x', 'y', 'z']) {
      await there.build(`FROM busybox\nRUN ${tag}\n`, { cacheFrom: [`type=local,src=${cache},tag=${tag}`] });
    }
    expect(there.machines.started).toHaveLength(0);
    const { manifests } = JSON.parse(readFileSync(join(cache, 'index.json'), 'utf8'));
    expect(manifests).toHaveLength(4);
  });

  it('two tags in one folder; ignore-error makes a failure a warning', async () => {
    await here.build('FROM busybox\nRUN x\n', to(',tag=x'));
    await here.build('FROM busybox\nRUN y\n', to(',tag=y'));
    await there.build('FROM busybox\nRUN x\n', { cacheFrom: [`type=local,src=${cache},tag=x`] });
    await there.build('FROM busybox\nRUN y\n', { cacheFrom: [`type=local,src=${cache},tag=y`] });
    expect(there.machines.started).toHaveLength(0);
    here.file('other/precious', 'mine');
    const bad = { cacheTo: [`type=local,dest=${here.context}`] };
    expect(await thrown(here.build('FROM busybox\nRUN x\n', bad))).toMatchObject({ code: 'HYPR_USAGE' });
    await here.build('FROM busybox\nRUN x\n', { cacheTo: [`type=local,dest=${here.context},ignore-error=true`] });
    expect(warnings(here)[0]).toMatch(/^the cache was not exported/);
  });

  it('type=inline, also by BUILDKIT_INLINE_CACHE=1: the image is its own cache', async () => {
    const one = 'FROM busybox\nRUN random\nCOPY a /a\n';
    const outputs = [`type=oci,dest=${cache},tar=false`];
    const first = await here.run(one, { outputs, buildArgs: { BUILDKIT_INLINE_CACHE: '1' } });
    await there.run(one, { ...from(), outputs: ['type=cacheonly'] });
    expect(there.machines.started).toHaveLength(0);
    const again = await here.run(one, { outputs, cacheTo: ['type=inline'] });
    expect(again.imageId).toBe(first.imageId);
    const child = await here.build('FROM busybox\nENV a=b\n', {});
    expect(JSON.stringify(child.blob)).not.toContain('hypr.cache');
  });

  it.each([
    [{ cacheTo: ['type=ftp'] }, /ftp is not known/],
    [{ cacheTo: ['type=local'] }, /dest= is needed/],
    [{ cacheTo: ['type=inline,mode=max'] }, /cannot have mode=max/],
    [{ cacheTo: ['type=local,dest=x,mode=mid'] }, /neither min nor max/],
    [{ cacheFrom: ['type=local,dest=x'] }, /"dest" is not known/],
    [{ cacheFrom: ['type=inline'] }, /inline is not known/],
  ])('%j is refused', async (request, message) => {
    expect((await thrown(here.build(FILE, request))).message).toMatch(message);
  });

  it('caches of CI services are left out with a warning', async () => {
    await here.build('FROM busybox\nCOPY a /\n', { cacheFrom: ['type=gha,scope=x'], cacheTo: ['type=s3,bucket=b'] });
    expect(warnings(here)).toEqual([expect.stringContaining('type=gha,scope=x is left out'), expect.stringContaining('type=s3,bucket=b')]);
  });

  it('whatever stands in a config of a cache, it is read as entries of the right shape or refused', () => {
    const id = `sha256:${'a'.repeat(64)}`;
    const key = 'b'.repeat(64);
    expect(
      decodeCacheConfig(
        Buffer.from(JSON.stringify({ version: 1, diff_ids: [id], entries: [{ key, keys: ['../x', key], diffId: id, created: 1 }] })),
      ),
    ).toEqual({
      diffIds: [id],
      entries: [{ key, keys: [key], diffId: id, created: 1 }],
    });
    fc.assert(
      fc.property(fc.json(), fc.json(), fc.json(), (entry, keys, created) => {
        const text = `{"version":1,"diff_ids":[],"entries":[${entry},{"key":"${key}","keys":${keys},"diffId":null,"created":${created}}]}`;
        try {
          for (const found of decodeCacheConfig(Buffer.from(text)).entries) {
            expect([found.key, ...found.keys].every((name) => /^[0-9a-f]{64}$/.test(name))).toBe(true);
            expect(Number.isSafeInteger(found.created)).toBe(true);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(HyprError);
        }
      }),
      runs(300),
    );
  });
});
