import { describe, expect, test, vi } from 'vitest';
import type { ApiError } from '../../../engine/docker/http/errors.ts';
import { ask, FakeHost, filtered } from './fake-host.ts';

vi.mock('../../../engine/client/storage.ts', () => ({ pruneSystem: async () => ({ images: [], volumes: [], bytes: 0 }) }));

interface Row {
  readonly route: string;
  /** The filters that moby's description of its API gives the route, each with values that it takes. */
  readonly takes: Readonly<Record<string, readonly string[]>>;
  /** Values that docker refuses. */
  readonly refuses?: Readonly<Record<string, readonly string[]>>;
  /** Of `takes`, what hypr has nothing for: 501. */
  readonly notHere?: readonly string[];
}

const TIME = ['24h', '1h30m', '1700000000', '2026-01-02', '2026-01-02T03:04:05Z'];
const NO_TIME = ['soon', '', '-'];
const YES_OR_NO = ['true', 'false', '1', '0'];
const NEITHER = ['perhaps', ''];
const LABEL = ['a', 'a=b', 'a=b=c'];
const ID = ['0123456789ab'];
const NAME = ['web', '^/web$'];

const TABLE: readonly Row[] = [
  {
    route: 'GET /containers/json',
    takes: {
      ...{
        ancestor: ['busybox', 'busybox:1', 'sha256:0123'],
        id: ID,
        name: NAME,
        label: LABEL,
        network: ['net'],
        volume: ['data', '/data'],
      },
      status: ['created', 'restarting', 'running', 'removing', 'paused', 'exited', 'dead'],
      health: ['starting', 'healthy', 'unhealthy', 'none'],
      ...{ exited: ['0', '137'], 'is-task': YES_OR_NO, isolation: ['default'] },
      ...{ publish: ['80', '80/tcp', '80-90/udp'], expose: ['80', '80-90', '53/udp'] },
    },
    refuses: {
      ...{ status: ['gone'], health: ['ill'], exited: ['one'], 'is-task': NEITHER, publish: ['80:80', 'http'], expose: ['80:80', ''] },
      ...{ 'label!': ['a'], 'name!': ['a'], until: ['24h'], dangling: ['true'], name: ['(a+'] },
    },
  },
  {
    route: 'POST /containers/prune',
    takes: { until: TIME, label: LABEL, 'label!': LABEL },
    refuses: { until: NO_TIME, 'until!': ['1h'], name: ['a'] },
  },
  {
    route: 'GET /images/json',
    takes: { dangling: YES_OR_NO, label: LABEL, 'label!': LABEL, reference: ['busybox', 'b*:1'], before: ['a'], since: ['a'], until: TIME },
    refuses: { dangling: NEITHER, until: NO_TIME, name: ['a'], 'dangling!': ['true'] },
  },
  {
    route: 'POST /images/prune',
    takes: { dangling: YES_OR_NO, until: TIME, label: LABEL, 'label!': LABEL },
    refuses: { dangling: NEITHER, until: NO_TIME, reference: ['a'], 'dangling!': ['true'] },
  },
  {
    route: 'POST /build/prune',
    takes: {
      until: TIME,
      'unused-for': TIME,
      ...{ id: ID, parent: ID, type: ['regular'], description: ['x'], inuse: ['true'], shared: ['true'], private: ['true'] },
    },
    refuses: { until: NO_TIME, 'unused-for': NO_TIME, label: ['a'], dangling: ['true'] },
    notHere: ['id', 'parent', 'type', 'description', 'inuse', 'shared', 'private'],
  },
  {
    route: 'GET /networks',
    takes: {
      ...{ dangling: YES_OR_NO, driver: ['bridge'], id: ID, label: LABEL, name: ['net'], scope: ['swarm', 'global', 'local'] },
      type: ['custom', 'builtin'],
    },
    refuses: { dangling: NEITHER, type: ['own'], until: ['24h'], 'label!': ['a'] },
  },
  {
    route: 'POST /networks/prune',
    takes: { until: TIME, label: LABEL, 'label!': LABEL },
    refuses: { until: NO_TIME, dangling: ['true'], name: ['a'] },
  },
  {
    route: 'GET /volumes',
    takes: { dangling: YES_OR_NO, driver: ['local'], label: LABEL, name: ['data'] },
    refuses: { dangling: NEITHER, until: ['24h'], 'label!': ['a'], all: ['1'] },
  },
  {
    route: 'POST /volumes/prune',
    takes: { label: LABEL, 'label!': LABEL, all: YES_OR_NO },
    refuses: { all: NEITHER, until: ['24h'], dangling: ['true'], name: ['a'] },
  },
  {
    route: 'GET /events?until=1',
    takes: {
      ...{ config: ['a'], container: ['web'], daemon: ['a'], event: ['start'], image: ['busybox'], label: LABEL, network: ['net'] },
      ...{ node: ['a'], plugin: ['a'], scope: ['local', 'swarm'], secret: ['a'], service: ['a'], volume: ['data'] },
      type: ['container', 'image', 'volume', 'network', 'daemon', 'plugin', 'node', 'service', 'secret', 'config'],
    },
    refuses: { 'label!': ['a'], name: ['a'], until: ['24h'] },
  },
];

/** Every value alone, then what is refused of any route: a filter that nobody knows, two of which one alone can be, and what are no filters. */
const statuses = async (route: string, filters: unknown): Promise<number> => {
  const [method = '', path = ''] = route.split(' ');
  const url = `${path}${path.includes('?') ? '&' : '?'}filters=${encodeURIComponent(JSON.stringify(filters))}`;
  return ask(new FakeHost({}), method, url).then(
    ({ status }) => status,
    (error: ApiError) => error.status,
  );
};

describe.each(TABLE)('the filters of $route', ({ route, takes, refuses = {}, notHere = [] }) => {
  const each = (of: Readonly<Record<string, readonly string[]>>): Array<[string, string]> =>
    Object.entries(of).flatMap(([key, values]) => values.map((value): [string, string] => [key, value]));

  test.each(each(takes))('%s=%s is taken, also in the older form', async (key, value) => {
    const wanted = notHere.includes(key) ? 501 : 200;
    expect([await statuses(route, { [key]: [value] }), await statuses(route, { [key]: { [value]: true } })]).toEqual([wanted, wanted]);
  });

  test.each(each(refuses))('%s=%s is refused where there is nothing to judge, too', async (key, value) => {
    expect(await statuses(route, { [key]: [value] })).toBe(400);
  });

  test.each([[{ colour: ['red'] }], [{ __proto__x: ['a'] }], [['name']], ['name'], [{ constructor: ['a'] }]])(
    '%j is refused',
    async (filters) => {
      expect(await statuses(route, filters)).toBe(400);
    },
  );

  test.each(['until', 'dangling', 'all'].filter((key) => takes[key] !== undefined))('two of %s are refused', async (key) => {
    expect(await statuses(route, { [key]: takes[key]?.slice(0, 2) })).toBe(400);
  });
});

test('a container that is not there to be before or since is 404', async () => {
  for (const key of ['before', 'since']) {
    await expect(ask(new FakeHost({}), 'GET', filtered('/containers/json', { [key]: ['nobody'] }))).rejects.toMatchObject({ status: 404 });
  }
});

test('build data of an age is asked for by one of docker’s two words', async () => {
  const filters = { until: ['24h'], 'unused-for': ['24h'] };
  await expect(ask(new FakeHost({}), 'POST', filtered('/build/prune', filters))).rejects.toMatchObject({ status: 400 });
});
