import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { listCachedLayers, pruneBuildCache } from '../../../builder/solver/frame/cache.ts';
import { show, Workshop } from './workshop.ts';

let shop: Workshop;
beforeEach(async () => {
  shop = new Workshop();
  await shop.busybox();
});
afterEach(() => shop.close());

/** Builds again and says which of the steps came from the cache. */
const again = async (file: string, request = {}) => {
  const result = await shop.build(file, request);
  return { result, cached: shop.cached().filter((name) => !name.includes('FROM')) };
};

describe('the cache of files', () => {
  const file = 'FROM scratch\nCOPY d /d\n';
  beforeEach(async () => {
    shop.file('d/a', '1');
    shop.file('d/b', '2');
    await shop.build(file);
  });

  it.each([
    ['nothing', () => {}, true],
    ['touching', () => utimesSync(join(shop.context, 'd/a'), 1, 1), true],
    ['another file', () => shop.file('e', 'x'), true],
    ['content', () => shop.file('d/a', '3'), false],
    ['a mode', () => chmodSync(join(shop.context, 'd/a'), 0o600), false],
    ['a name', () => renameSync(join(shop.context, 'd/a'), join(shop.context, 'd/c')), false],
    ['a new file', () => shop.file('d/x', ''), false],
    ['a new link', () => shop.link('d/x', 'a'), false],
  ] as const)('%s', async (_name, change, hits) => {
    change();
    expect((await again(file)).cached).toEqual(hits ? ['[1/1] COPY d /d'] : []);
  });

  it('misses when a layer is gone, or the target, owner or mode differ', async () => {
    for (const line of ['COPY d /e', 'COPY --chown=1 d /d', 'COPY --chmod=700 d /d', 'COPY --exclude=a d /d', 'COPY d /d/']) {
      expect((await again(`FROM scratch\n${line}\n`)).cached, line).toEqual([]);
    }
  });
});

describe('the hashes of a context', () => {
  afterEach(() => vi.useRealTimers());
  const settle = () => vi.useFakeTimers({ now: Date.now() + 10_000, toFake: ['Date'] });

  it('are kept where a name is not UTF-8', async () => {
    writeFileSync(Buffer.concat([Buffer.from(`${shop.context}/x`), Buffer.from([0xff])]), 'odd');
    settle();
    expect(await show((await shop.build('FROM scratch\nCOPY . /\n')).tree)).toEqual({ 'x\udcff': 'odd' });
    expect(readdirSync(join(shop.folder, 'build', 'hashes'))).toHaveLength(1);
  });

  it('that cannot be kept or read do not fail a build', async () => {
    shop.file('f', 'f');
    mkdirSync(join(shop.folder, 'build'));
    writeFileSync(join(shop.folder, 'build', 'hashes'), 'no folder');
    settle();
    expect(await show((await shop.build('FROM scratch\nCOPY . /\n')).tree)).toEqual({ f: 'f' });
  });
});

describe('the cache of patterns', () => {
  it('a later file does not disturb a RUN before it; a matched rename does', async () => {
    shop.file('package.json', '1');
    shop.file('main.js', '1');
    const file = 'FROM busybox\nCOPY pack*.json /\nRUN install\nCOPY *.js /\n';
    await shop.build(file);
    shop.file('main.js', '2');
    expect((await again(file)).cached).toEqual(['[2/4] COPY pack*.json /', '[3/4] RUN install']);
    renameSync(join(shop.context, 'package.json'), join(shop.context, 'pack2.json'));
    expect((await again(file)).cached).toEqual([]);
  });

  it('a folder that becomes a file is built anew', async () => {
    shop.file('foo', 'file');
    await shop.build('FROM scratch\nCOPY foo /\n');
    renameSync(join(shop.context, 'foo'), join(shop.context, 'x'));
    shop.file('foo/bar', 'inner');
    expect(await show((await shop.build('FROM scratch\nCOPY foo /\n')).tree)).toEqual({ bar: 'inner' });
  });
});

describe('the cache of stages', () => {
  it('hits by content when a stage was rebuilt to the same', async () => {
    shop.machines.program = ({ args }) => ({ files: { out: 'same', [args.at(-1) ?? '']: 'x' } });
    shop.file('f', '1');
    const file = 'FROM busybox AS a\nCOPY f /\nRUN make\nFROM busybox\nCOPY --from=a out /\nRUN use\n';
    await shop.build(file);
    shop.file('f', '2');
    const { cached } = await again(file);
    expect(cached).toEqual(['[stage-1 2/3] COPY --from=a out /', '[stage-1 3/3] RUN use']);
    expect(shop.machines.runs.map(({ args }) => args.at(-1))).toEqual(['make', 'use', 'make']);
    expect((await again(file)).cached).toHaveLength(4);
  });

  it('builds only what the target needs', async () => {
    const file = 'FROM missing AS no\nRUN no\nFROM busybox AS Yes\nRUN yes\nFROM no\nRUN last\n';
    await shop.build(file, { target: 'yEs' });
    expect(shop.resolved).toEqual(['busybox']);
    expect(shop.machines.runs.map(({ args }) => args.at(-1))).toEqual(['yes']);
  });

  it('--no-cache runs everything again and keeps the new result', async () => {
    let count = 0;
    shop.machines.program = () => ({ files: { n: String(++count) } });
    const file = 'FROM busybox\nRUN a\n';
    await shop.build(file);
    expect((await again(file, { noCache: true })).cached).toEqual([]);
    const { result } = await again(file);
    expect(await result.tree.readText('n')).toBe('2');
    expect(count).toBe(2);
  });

  it('an unused argument does not matter, a declared one does', async () => {
    const file = 'FROM busybox\nRUN before\nARG v\nRUN after\n';
    await shop.build(file, { buildArgs: { v: '1', unused: '1' } });
    const { cached } = await again(file, { buildArgs: { v: '2', unused: '2' } });
    expect(cached).toEqual(['[2/3] RUN before']);
  });

  it('an image with the same layers is the same base', async () => {
    await shop.build('FROM busybox\nRUN a\n');
    await shop.busybox();
    await shop.image('other', {}, {});
    expect((await again('FROM busybox\nRUN a\n')).cached).toEqual(['[2/2] RUN a']);
    expect((await again('FROM other\nRUN a\n')).cached).toEqual([]);
  });
});

describe('results', () => {
  it('are the same for the same inputs', async () => {
    shop.file('f', 'x');
    const file = 'FROM busybox\nCOPY f /a/b/\nRUN x\nWORKDIR /new\nLABEL a=b\nCMD ["x"]\n';
    const first = await shop.build(file);
    const second = await shop.build(file);
    expect(second.imageId).toBe(first.imageId);
    expect(second.manifestDigest).toBe(first.manifestDigest);
  });

  it('can be listed and pruned', async () => {
    shop.file('f', 'x');
    const { blob } = await shop.build('FROM busybox\nCOPY f /\n');
    const folder = join(shop.folder, 'build');
    expect(new Set((await listCachedLayers(folder)).keys())).toEqual(new Set(blob.rootfs.diff_ids.slice(1)));
    expect(await pruneBuildCache(folder, 3_600_000)).toBe(0);
    expect(await pruneBuildCache(folder, 0)).toBeGreaterThan(100);
    expect(await listCachedLayers(folder)).toEqual(new Map());
    expect((await again('FROM busybox\nCOPY f /\n')).cached).toEqual([]);
  });

  it('survive damaged cache records', async () => {
    shop.file('f', 'x');
    await shop.build('FROM scratch\nCOPY f /\n');
    execFileSync('sh', ['-c', 'find records -type f -exec sh -c \'printf "{broken" > "$1"\' _ {} \\;'], {
      cwd: join(shop.folder, 'build'),
    });
    const { result } = await again('FROM scratch\nCOPY f /\n');
    expect(await show(result.tree)).toEqual({ f: 'x' });
  });
});
