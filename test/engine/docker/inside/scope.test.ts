import { describe, expect, test } from 'vitest';
import { allowedRoutes } from '../../../../engine/docker/inside/allowed-routes.ts';
import { scopeOf } from '../../../../engine/docker/inside/scope.ts';
import { scopedView } from '../../../../engine/docker/inside/scoped-view.ts';
import { dockerRoutes } from '../../../../engine/docker/routes/index.ts';
import { inspectReplica } from '../../../../engine/docker/shapes/container.ts';
import type { RecordedEvent } from '../../../../engine/model/events.ts';
import type { Image, ImageApi, NetworkDetail, ObjectApi, ReplicaDetail, VolumeDetail } from '../../../../engine/model/types.ts';
import { serviceNotices } from '../../../../engine/resolve/service-notices.ts';
import { FakeHost } from '../fake-host.ts';

const SESSION = 'org.testcontainers.session-id';

interface Own {
  /** Of its file or request. */
  readonly labels?: Record<string, string>;
  readonly imageLabels?: Record<string, string>;
  readonly standalone?: boolean;
  readonly access?: 'read' | 'full';
  readonly volumes?: string[];
}

const eventOf = ({ stack, status }: ReplicaDetail): RecordedEvent => ({
  ...{ time: 1, type: 'container', action: 'start', id: status.id, attributes: { ...status.labels, name: status.name }, stack },
  service: status.service,
});

const machine = (stack: string, name: string, own: Own = {}): ReplicaDetail =>
  ({
    stack,
    standalone: own.standalone ?? false,
    configHash: '',
    requestLabels: own.labels ?? {},
    status: {
      id: `id-${name}`,
      name,
      labels: { ...own.imageLabels, ...own.labels },
      imageId: `image-${name}`,
      service: name,
      volumes: own.volumes ?? [],
    },
    logPath: `/home/me/logs/${name}.jsonl`,
    volumes: { data: '/home/me/volumes/data' },
    spec: {
      process: { env: ['PASSWORD=hunter2'] },
      mounts: [
        { kind: 'docker', target: '/var/run/docker.sock', readOnly: false, access: own.access ?? 'read' },
        { kind: 'bind', source: '/home/me/src', target: '/src', readOnly: true },
        { kind: 'volume', volume: 'data', target: '/data', readOnly: false },
      ],
      files: [{ source: { file: '/home/me/token' }, path: '/run/secrets/token' }],
      ports: [],
      exposed: [],
      networks: [],
      extraHosts: [],
      restart: {},
    },
    networks: [],
  }) as unknown as ReplicaDetail;

describe('the scope of a machine with docker’s socket', () => {
  test('is its own stack, to read', () => {
    const scope = scopeOf(machine('shop', 'panel'));
    expect(scope.may).toBe('read');
    expect(scope.sees(machine('shop', 'web'))).toBe(true);
    expect(scope.sees(machine('other', 'web'))).toBe(false);
    // Somebody else's labels widen nothing.
    expect(scope.sees(machine('other', 'web', { labels: { 'com.docker.compose.project': 'shop' } }))).toBe(false);
  });

  test('is the project of docker compose for a container that it made through the API', () => {
    const labels = { 'com.docker.compose.project': 'shop' };
    const scope = scopeOf(machine('a', 'panel', { standalone: true, labels }));
    expect(scope.may).toBe('read');
    expect(scope.sees(machine('b', 'web', { standalone: true, labels }))).toBe(true);
    expect(scope.sees(machine('c', 'web', { standalone: true, labels: { 'com.docker.compose.project': 'shop2' } }))).toBe(false);
    // A stack of a Compose file has that label, too.
    expect(scope.sees(machine('shop', 'web'))).toBe(false);
  });

  test('is a run of Testcontainers for its Ryuk, to remove, and never for a service of a file', () => {
    const scope = scopeOf(machine('r', 'ryuk', { standalone: true, labels: { 'org.testcontainers': 'true', [SESSION]: 's1' } }));
    expect(scope.may).toBe('remove');
    expect(scope.sees(machine('x', 'db', { standalone: true, labels: { [SESSION]: 's1' } }))).toBe(true);
    expect(scope.sees(machine('x', 'db', { standalone: true, labels: { [SESSION]: 's2', 'org.testcontainers': 'true' } }))).toBe(false);
    expect(scope.owns({ labels: { [SESSION]: 's1' } })).toBe(true);
    expect(scope.owns({ labels: {} })).toBe(false);
    const withoutSession = scopeOf(machine('r', 'ryuk', { standalone: true, labels: { 'org.testcontainers': 'true' } }));
    expect(withoutSession.sees(machine('x', 'db', { labels: { 'org.testcontainers': 'true' } }))).toBe(true);
    expect(withoutSession.sees(machine('x', 'db'))).toBe(false);
    expect(scopeOf(machine('shop', 'panel', { labels: { 'org.testcontainers': 'true', [SESSION]: 's1' } })).may).toBe('read');
  });

  test('is not widened by the labels of an image', () => {
    const session = { 'org.testcontainers': 'true', [SESSION]: 's1' };
    const project = { 'com.docker.compose.project': 'shop' };
    expect(scopeOf(machine('r', 'ryuk', { standalone: true, imageLabels: session })).may).toBe('read');
    const ryuk = scopeOf(machine('r', 'ryuk', { standalone: true, labels: session }));
    expect(ryuk.sees(machine('x', 'db', { standalone: true, imageLabels: session }))).toBe(false);
    const panel = scopeOf(machine('a', 'panel', { standalone: true, imageLabels: project }));
    expect(panel.sees(machine('b', 'web', { standalone: true, labels: project }))).toBe(false);
    const named = scopeOf(machine('a', 'panel', { standalone: true, labels: project }));
    expect(named.sees(machine('b', 'web', { standalone: true, imageLabels: project }))).toBe(false);
  });

  test('has no events of machines whose image only has its labels, and has the end of its own', () => {
    const session = { [SESSION]: 's1' };
    const [marked, foreign] = [
      machine('x', 'db', { standalone: true, labels: session }),
      machine('y', 'web', { standalone: true, imageLabels: session }),
    ];
    let recorded = [marked, foreign];
    const view = scopedView(scopeOf(machine('r', 'ryuk', { standalone: true, labels: session })));
    view.objects?.({ replicas: () => recorded } as unknown as ObjectApi);
    expect(view.sees?.(eventOf(marked))).toBe(true);
    expect(view.sees?.(eventOf(foreign))).toBe(false);
    recorded = [];
    expect(view.sees?.(eventOf(marked))).toBe(true);
  });

  test('has no events of networks, images and volumes, which may be anybody’s', () => {
    const own = machine('shop', 'panel');
    const view = scopedView(scopeOf(own));
    expect(view.sees?.(eventOf(machine('shop', 'db')))).toBe(true);
    expect(view.sees?.(eventOf(machine('bank', 'db')))).toBe(false);
    expect(view.sees?.({ ...eventOf(own), type: 'network', stack: '' })).toBe(false);
  });

  test('is everything only where the file says so', () => {
    const scope = scopeOf(machine('shop', 'panel', { access: 'full' }));
    expect(scope.may).toBe('everything');
    expect(scope.sees(machine('other', 'web'))).toBe(true);
  });
});

describe('what it sees', () => {
  const all = [machine('shop', 'web', { volumes: ['data'] }), machine('other', 'secret', { volumes: ['hidden'] })];
  const member = (name: string) => ({ id: `id-${name}`, name, address: '10.0.0.2', mac: '' });
  const objects = {
    replicas: (reference?: string) => all.filter(({ status }) => reference === undefined || status.name === reference),
    networks: () =>
      [
        { id: 'n1', name: 'shared', stack: '', labels: {}, members: [member('web'), member('secret')] },
        { id: 'n2', name: 'other_default', stack: 'other', labels: {}, members: [member('secret')] },
      ] as unknown as NetworkDetail[],
    volumes: () =>
      [
        { name: 'data', stack: 'shop', labels: {}, users: ['web'] },
        { name: 'hidden', stack: 'other', labels: {}, users: ['secret'] },
      ] as unknown as VolumeDetail[],
  } as unknown as ObjectApi;

  test('has no machine, network, member, volume or image of another stack', async () => {
    const view = scopedView(scopeOf(machine('shop', 'panel')));
    const seen = view.objects?.(objects) as ObjectApi;
    expect(seen.replicas().map(({ status }) => status.name)).toEqual(['web']);
    expect(seen.replicas('secret')).toEqual([]);
    expect(seen.networks().map(({ name, members }) => [name, members.map((each) => each.name)])).toEqual([['shared', ['web']]]);
    expect(seen.volumes().map(({ name }) => name)).toEqual(['data']);
    const images = view.images?.({
      list: async () => ['image-web', 'image-secret'].map((id) => ({ id, config: {} }) as Image),
      inspect: async (id: string) => ({ id, config: {} }) as Image,
    } as unknown as ImageApi) as ImageApi;
    expect((await images.list()).map(({ id }) => id)).toEqual(['image-web']);
    await expect(images.inspect('image-secret')).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' });
    await expect(seen.removeVolume('data')).rejects.toMatchObject({ status: 403 });
    await expect(seen.createVolume('new', {})).rejects.toMatchObject({ status: 403 });
  });

  test('of a run of tests nothing else can be removed', async () => {
    const view = scopedView(scopeOf(machine('r', 'ryuk', { standalone: true, labels: { [SESSION]: 's1' } })));
    const seen = view.objects?.({ ...objects, removeVolume: async () => expect.unreachable() }) as ObjectApi;
    await expect(seen.removeVolume('hidden')).rejects.toMatchObject({ status: 404 });
    const images = view.images?.({
      inspect: async (id: string) => ({ id, config: { Labels: {} } }) as unknown as Image,
      remove: async () => expect.unreachable(),
    } as unknown as ImageApi) as ImageApi;
    await expect(images.remove(['image-web'], { force: true })).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' });
  });
});

test('a reader sees no environment and no path of this host of other services', () => {
  const labels = { route: 'Host(`a`)' };
  const all = [machine('shop', 'panel', { labels }), machine('shop', 'db', { labels })];
  const inspect = (own: ReplicaDetail, name: string): Record<string, unknown> => {
    const view = scopedView(scopeOf(own)).objects?.({ replicas: () => all, networks: () => [] } as unknown as ObjectApi);
    const [found] = (view?.replicas() ?? all).filter(({ status }) => status.name === name);
    return inspectReplica({ ...found, status: { ...found?.status, command: [], ports: [] } } as unknown as ReplicaDetail);
  };
  const other = inspect(machine('shop', 'panel'), 'db');
  expect(other).toMatchObject({
    LogPath: '',
    Config: { Env: [], Labels: labels },
    HostConfig: { Binds: [expect.stringContaining('docker.sock')] },
  });
  expect(JSON.stringify(other)).not.toMatch(/hunter2|\/home\/me/);
  for (const whole of [inspect(machine('shop', 'panel'), 'panel'), inspect(machine('x', 'panel', { access: 'full' }), 'db')]) {
    expect(whole).toMatchObject({ Config: { Env: ['PASSWORD=hunter2'] } });
    expect(JSON.stringify(whole)).toContain('/home/me/token');
  }
});

test('what `up` says of the socket names the logs', () => {
  const service = { volumes: [{ type: 'bind', source: '/var/run/docker.sock', target: '/var/run/docker.sock' }] };
  expect(serviceNotices({ services: { panel: service } } as never, ['panel'])).toEqual([
    expect.stringContaining('logs of all its services'),
  ]);
});

test('Ryuk removes networks and volumes of its run, and none that its machines merely use', async () => {
  const labels = { [SESSION]: 's1' };
  const removed: string[] = [];
  const members = [{ id: 'id-db', name: 'db', address: '10.0.0.2', mac: '' }];
  const seen = scopedView(scopeOf(machine('r', 'ryuk', { standalone: true, labels }))).objects?.({
    replicas: () => [machine('x', 'db', { standalone: true, labels, volumes: ['used'] })],
    networks: () => [
      { id: 'n1', name: 'shared', stack: '', labels: {}, members },
      { id: 'n2', name: 'made', stack: '', labels, members },
    ],
    volumes: () => [
      { name: 'used', stack: '', labels: {}, users: ['db'] },
      { name: 'left', stack: '', labels, users: [] },
    ],
    removeNetwork: async (name: string) => void removed.push(name),
    removeVolume: async (name: string) => void removed.push(name),
  } as unknown as ObjectApi) as ObjectApi;
  expect(seen.volumes().map(({ name }) => name)).toEqual(['used', 'left']);
  await expect(seen.removeVolume('used')).rejects.toMatchObject({ status: 403 });
  await expect(seen.removeNetwork('shared', { force: false })).rejects.toMatchObject({ status: 403 });
  await seen.removeVolume('left');
  await seen.removeNetwork('made', { force: false });
  expect(removed).toEqual(['left', 'made']);
});

describe('the routes', () => {
  const all = dockerRoutes(new FakeHost({}).host);
  const refused = (may: 'read' | 'remove'): string[] => {
    const allowed = allowedRoutes(all, may);
    return Object.keys(all).filter((route) => allowed[route] !== all[route]);
  };

  test('that change something, take files out or run programs are refused', () => {
    const routes = refused('read');
    expect(Object.keys(all).filter((route) => /^(POST|PUT|DELETE)/.test(route) && !routes.includes(route))).toEqual([
      'POST /containers/{id}/wait',
    ]);
    expect(routes).toEqual(
      expect.arrayContaining(['GET /containers/{id}/archive', 'GET /containers/{id}/export', 'GET /images/get', 'GET /system/df']),
    );
    expect(() => allowedRoutes(all, 'read')['POST /containers/create']?.({} as never)).toThrow(/may not ask for/);
  });

  test('of Ryuk are those and removals', () => {
    const more = refused('read').filter((route) => !refused('remove').includes(route));
    expect(more.every((route) => /^DELETE|\/(stop|kill)$/.test(route))).toBe(true);
    expect(more).toContain('DELETE /containers/{id}');
    expect(allowedRoutes(all, 'everything')).toBe(all);
  });
});
