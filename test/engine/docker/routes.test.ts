import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { END_MARK, padding } from '../../../base/tar/block.ts';
import { encodePlainFile } from '../../../base/tar/header.ts';
import type { Image, PruneOptions, ReplicaDetail, VolumeDetail } from '../../../engine/model/types.ts';
import { ask, FakeHost, filtered } from './fake-host.ts';

const pruned: PruneOptions[] = [];
vi.mock('../../../engine/client/storage.ts', () => ({
  pruneSystem: async (options: PruneOptions) => {
    pruned.push(options);
    return { images: (options.imageIds ?? []).map((id) => `deleted: ${id}`), volumes: options.volumes ? ['old/anon-1'] : [], bytes: 5 };
  },
}));

beforeEach(() => {
  pruned.length = 0;
});

const DAY = 86_400_000;
const machine = (state: 'running' | 'exited', spec: object = { process: {} }) =>
  ({ status: { id: 'a1', name: 'web', state, labels: {}, image: 'busybox' }, spec }) as unknown as ReplicaDetail;
const volume = (name: string, extra: Partial<VolumeDetail> = {}): VolumeDetail => ({
  name,
  stack: '',
  path: `/nowhere/${name}`,
  labels: {},
  createdAt: Date.now() - 2 * DAY,
  users: [],
  ...extra,
});
const nameless = { 'com.docker.volume.anonymous': '' };

describe('volumes/prune', () => {
  const fake = () =>
    new FakeHost({
      volumes: [
        volume('named'),
        volume('anon', { labels: nameless }),
        volume('young', { labels: { ...nameless, keep: 'no' }, createdAt: Date.now() }),
        volume('used', { labels: nameless, users: ['web'] }),
      ],
    });
  const removed = async (filters: Record<string, string[]>): Promise<unknown> => {
    const { value } = await ask(fake(), 'POST', filtered('/volumes/prune', filters));
    return (value as { VolumesDeleted: unknown }).VolumesDeleted;
  };

  test.each<[Record<string, string[]>, string[]]>([
    [{}, ['old/anon-1', 'anon', 'young']],
    [{ all: ['true'] }, ['old/anon-1', 'named', 'anon', 'young']],
    [{ all: ['false'] }, ['old/anon-1', 'anon', 'young']],
    [{ 'label!': ['keep=no'] }, ['old/anon-1', 'anon']],
    [{ label: ['keep=no'] }, ['young']],
  ])('%j', async (filters, names) => {
    expect(await removed(filters)).toEqual(names);
  });

  test('a filter that is not known removes nothing', async () => {
    const host = fake();
    await expect(ask(host, 'POST', filtered('/volumes/prune', { colour: ['red'] }))).rejects.toMatchObject({ status: 400 });
    await expect(ask(host, 'POST', filtered('/volumes/prune', { until: ['24h'] }))).rejects.toMatchObject({ status: 400 });
    expect([host.asked, pruned]).toEqual([[], []]);
  });
});

const image = (id: string, created: number, labels: Record<string, string> = {}): Image =>
  ({ id, references: [], created, config: { Labels: labels } }) as unknown as Image;

describe('images/prune and build/prune', () => {
  const fake = () => new FakeHost({ images: [image('a', Date.now() - 2 * DAY), image('b', Date.now(), { keep: '' })] });

  test.each<[Record<string, string[]>, string, string[]]>([
    [{}, 'dangling', ['a', 'b']],
    [{ dangling: ['true'] }, 'dangling', ['a', 'b']],
    [{ dangling: ['false'] }, 'all', ['a', 'b']],
    [{ until: ['24h'], dangling: ['0'] }, 'all', ['a']],
    [{ 'label!': ['keep'] }, 'dangling', ['a']],
    [{ label: ['keep'] }, 'dangling', ['b']],
  ])('%j removes %s images: %j', async (filters, images, imageIds) => {
    expect(await ask(fake(), 'POST', filtered('/images/prune', filters))).toMatchObject({ status: 200 });
    expect(pruned).toMatchObject([{ images, imageIds, volumes: false, buildsOlderThan: undefined }]);
  });

  test('build data by age', async () => {
    await ask(fake(), 'POST', filtered('/build/prune', { until: ['24h'] }));
    await ask(fake(), 'POST', '/build/prune');
    expect(pruned.map(({ buildsOlderThan }) => Math.round((buildsOlderThan ?? -1) / DAY))).toEqual([1, 0]);
    await expect(ask(fake(), 'POST', filtered('/build/prune', { id: ['x'] }))).rejects.toMatchObject({ status: 501 });
  });
});

describe('containers/{id}/update', () => {
  const update = async (request: object, state: 'running' | 'exited' = 'exited') => {
    const fake = new FakeHost({ replicas: [machine(state)] });
    const answer = await ask(fake, 'POST', '/containers/web/update', [Buffer.from(JSON.stringify(request))]);
    return { ...answer, asked: fake.asked };
  };

  test('restart policy, memory and processors; what comes along of docker is no mistake', async () => {
    const request = { RestartPolicy: { Name: 'always' }, Memory: 2 ** 28, MemorySwap: -1, NanoCpus: 15e8, CpuShares: 0, PidsLimit: null };
    expect(await update(request)).toEqual({
      status: 200,
      value: { Warnings: [] },
      asked: [['updateReplica', 'a1', { restart: { condition: 'always', maxAttempts: 0, delay: 100 }, memory: 2 ** 28, cpus: 1.5 }]],
    });
    expect((await update({ MemorySwap: 2 ** 29, CpuQuota: 200_000 })).value).toEqual({
      Warnings: ['MemorySwap has no effect: a machine has no swap'],
    });
    expect((await update({ RestartPolicy: { Name: 'no' } }, 'running')).asked).toHaveLength(1);
  });

  test('a restart policy of one that goes when it ends is a conflict, as with docker', async () => {
    const leaving = async (Name: string) => {
      const fake = new FakeHost({ replicas: [machine('exited', { autoRemove: 'stack' })] });
      return ask(fake, 'POST', '/containers/web/update', [Buffer.from(JSON.stringify({ RestartPolicy: { Name } }))]);
    };
    await expect(leaving('always')).rejects.toMatchObject({ status: 409, message: expect.stringContaining('AutoRemove is enabled') });
    expect(await leaving('no')).toMatchObject({ status: 200 });
  });

  test('refuses what it cannot do, and changes nothing', async () => {
    await expect(update({ RestartPolicy: { Name: 'always', MaximumRetryCount: 3 } })).rejects.toMatchObject({ status: 400 });
    await expect(update({ Memory: 2 ** 28 }, 'running')).rejects.toMatchObject({ status: 409 });
    await expect(update({ CpuShares: 512 })).rejects.toMatchObject({ status: 501 });
    await expect(update({ Memory: 5 })).rejects.toMatchObject({ status: 400 });
    await expect(update({ RestartPolicy: { Name: 'sometimes' } })).rejects.toMatchObject({ status: 400 });
    await expect(update({ NanoCpus: 1e9, CpuQuota: 5 })).rejects.toMatchObject({ status: 400 });
  });
});

describe('files into a container', () => {
  const made = {
    status: { id: 'c1', name: 'made', service: 'made', number: 1, state: 'created' },
    stack: 'made',
  } as unknown as ReplicaDetail;
  const tarOf = (name: string, text: string): Buffer =>
    Buffer.concat([encodePlainFile(name, text.length), Buffer.from(text), Buffer.alloc(padding(text.length)), END_MARK]);

  test('plain, in pieces, and compressed', async () => {
    const fake = new FakeHost({ replicas: [made] });
    const tar = tarOf('a', 'text');
    for (const bytes of [[tar], [tar.subarray(0, 1), tar.subarray(1)], [gzipSync(tar)]]) {
      expect(await ask(fake, 'PUT', '/containers/made/archive?path=/etc', bytes)).toMatchObject({ status: 200 });
    }
    const place = { service: 'made', index: 1, path: '/etc' };
    expect(fake.asked).toEqual(Array.from({ length: 3 }, () => ['copyTo', place, tar]));
  });

  test('what is cut off is no archive', async () => {
    const fake = new FakeHost({ replicas: [made] });
    const tar = tarOf('a', 'text');
    await expect(ask(fake, 'PUT', '/containers/made/archive?path=/', [gzipSync(tar).subarray(0, 30)])).rejects.toThrow();
    expect(fake.asked).toEqual([]);
  });
});

describe('since and until', () => {
  const asked = async (path: string): Promise<unknown> => {
    const fake = new FakeHost({ replicas: [machine('running')] });
    await ask(fake, 'GET', path);
    return fake.asked;
  };

  test('of logs: 0 is the beginning for since, none for until', async () => {
    expect(await asked('/containers/web/logs?stdout=1&since=0&until=0')).toEqual([['logs', 0, undefined]]);
    expect(await asked('/containers/web/logs?stdout=1&until=0.000000001')).toEqual([['logs', undefined, 1e-6]]);
  });

  test('of events: 0 is the beginning for both, the second before it is none', async () => {
    expect(await asked('/events?since=0')).toEqual([['events', 0, undefined]]);
    expect(await asked('/events?since=0&until=0')).toEqual([['events', 0, 0]]);
    expect(await asked('/events?since=-1&until=-1')).toEqual([['events', undefined, undefined]]);
    await expect(asked('/events?since=1&until=0')).rejects.toMatchObject({ status: 400 });
  });
});
