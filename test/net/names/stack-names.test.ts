import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readNameLabels } from '../../../net/names/labels.ts';
import { dnsLabel, type NameableReplica, namesOfStack } from '../../../net/names/stack-names.ts';
import { protocolOf, webPortOf } from '../../../net/names/web-port.ts';
import { runs } from '../../support/seed.ts';

const replica = (service: string, number = 1, more: Partial<NameableReplica> = {}): NameableReplica => ({
  name: `shop-${service}-${number}`,
  service,
  number,
  oneOff: false,
  state: 'running',
  health: 'none',
  labels: {},
  aliases: [],
  listening: [],
  expected: [],
  ...more,
});

const namesOf = (replicas: readonly NameableReplica[], stack = 'shop', services = [...new Set(replicas.map((each) => each.service))]) => {
  const { names, problems } = namesOfStack(stack, services, replicas, 'hypr');
  const table = Object.fromEntries(
    names.map((name) => [name.host, `${name.owner} → ${name.members.join(',')}${name.webPort ? ` :${name.webPort}` : ''}`]),
  );
  return { table, problems, names };
};

describe('namesOfStack', () => {
  it('names services, replicas and the root after the first service with a web port', () => {
    const all = [
      replica('db', 1, { listening: [5432] }),
      replica('web', 1, { listening: [3000] }),
      replica('web', 2, { listening: [3000] }),
    ];
    expect(namesOf(all)).toMatchObject({
      problems: [],
      table: {
        'db.shop': 'db → shop-db-1',
        'db-1.shop': 'db-1 → shop-db-1',
        'web.shop': 'web → shop-web-1,shop-web-2 :3000',
        'web-1.shop': 'web-1 → shop-web-1 :3000',
        'web-2.shop': 'web-2 → shop-web-2 :3000',
        shop: 'web → shop-web-1,shop-web-2 :3000',
      },
    });
  });

  it('sends connections to replicas that run and are not known to be ill', () => {
    const all = [
      replica('web', 1, { health: 'unhealthy' }),
      replica('web', 2, { health: 'healthy' }),
      replica('web', 3, { state: 'exited' }),
      replica('web', 4),
    ];
    const web = namesOf(all).names.find((name) => name.host === 'web.shop');
    expect(web).toMatchObject({ members: ['shop-web-2', 'shop-web-4'], state: 'running', health: 'healthy' });
    expect(namesOf([replica('web', 1, { state: 'exited' })]).names[0]).toMatchObject({ state: 'exited', members: ['shop-web-1'] });
  });

  it('names a machine that is a stack of its own once', () => {
    const one = replica('tool', 1, { name: 'tool', listening: [8080, 9999], oneOff: true });
    expect(namesOf([one], 'tool').table).toEqual({ tool: 'tool → tool :8080' });
    expect(namesOf([replica('db', 1, { listening: [5432] })], 'db').table).toEqual({ db: 'db → shop-db-1' });
  });

  it('names aliases, container names and one-offs below the stack', () => {
    const all = [
      replica('db', 1, { aliases: ['postgres', 'db.internal'], name: 'my_database' }),
      replica('db', 1, { oneOff: true, name: 'shop-db-run-1a2b' }),
    ];
    expect(Object.keys(namesOf(all).table)).toEqual(
      expect.arrayContaining(['db.shop', 'db-1.shop', 'postgres.shop', 'db.internal.shop', 'my-database.shop', 'shop-db-run-1a2b.shop']),
    );
  });

  it('gives names of labels, several and with ports, last', () => {
    const labels = { 'hypr.domains': 'shop.example.com *.shop.hypr, admin.hypr:8081 api', 'hypr.http-port': '3000' };
    const { names } = namesOf([replica('web', 1, { labels, listening: [3000, 8081] })]);
    expect(names.filter((name) => name.isExtra).map((name) => [name.host, name.webPort])).toEqual([
      ['shop.example.com.', 3000],
      ['*.shop', 3000],
      ['admin', 8081],
      ['api', 3000],
    ]);
  });

  it('makes labels of DNS of names that are none, and tells of two that become the same', () => {
    const { table, problems } = namesOf([replica('my_app'), replica('my-app')], 'My_Shop');
    expect(table).toMatchObject({ 'my-app.my-shop': 'my-app → shop-my-app-1' });
    expect(problems).toContain("my-app.my-shop is my-app's already and cannot be my_app's too");
  });

  it('tells of labels that cannot be read, and of a name of another service', () => {
    const labels = { 'hypr.domains': 'db.shop.hypr, -bad-, a:b, x:70000', 'hypr.http-port': 'http', 'hypr.host-header': 'a b' };
    const { table, problems } = namesOf([replica('web', 1, { labels }), replica('db')]);
    expect(problems).toEqual([
      'service web: "-bad-" in hypr.domains is not a name, or not NAME:PORT',
      'service web: "a:b" in hypr.domains is not a name, or not NAME:PORT',
      'service web: "x:70000" in hypr.domains is not a name, or not NAME:PORT',
      'service web: "http" in hypr.http-port is not a port',
      'service web: "a b" in hypr.host-header is not a host',
      "db.shop is db's already and cannot be web's too",
    ]);
    expect(table['db.shop']).toBe('db → shop-db-1');
  });

  it('gives each name once, all of them names that DNS can ask for', () => {
    const texts = fc.string({ unit: 'binary', minLength: 1, maxLength: 80 });
    const replicas = fc.array(
      fc.record({
        service: texts,
        number: fc.integer({ min: 1, max: 3 }),
        oneOff: fc.boolean(),
        aliases: fc.array(texts, { maxLength: 3 }),
        domains: texts,
      }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(replicas, texts, (given, stack) => {
        const all = given.map(({ domains, service, ...more }) =>
          replica(service, more.number, { ...more, labels: { 'hypr.domains': domains } }),
        );
        const hosts = namesOf(all, stack).names.map((name) => name.host);
        expect(new Set(hosts).size).toBe(hosts.length);
        for (const host of hosts) {
          expect(host).toMatch(/^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/);
        }
      }),
      runs(200),
    );
  });
});

it.each([
  ['web', 'web'],
  ['Web_Front.End', 'web-front-end'],
  ['__x__', 'x'],
  ['ü', ''],
  ['a'.repeat(70), `${'a'.repeat(54)}-${'f7d15e67'}`],
])('dnsLabel makes of %s the label %s', (name, label) => {
  expect(dnsLabel(name)).toHaveLength(label.length);
  expect(dnsLabel(name).slice(0, 54)).toBe(label.slice(0, 54));
});

it.each([
  [[5432], undefined, undefined],
  [[9229], undefined, 9229],
  [[5432, 9999], undefined, 9999],
  [[8080, 3000, 80], undefined, 80],
  [[8080, 8000], undefined, 8000],
  [[5173, 24_678], undefined, 5173],
  [[7001, 7002], undefined, undefined],
  [[80], 8443, 8443],
  [[], 3000, 3000],
  [[443, 80], undefined, 80],
  [[], undefined, undefined],
])('the web port of %j with the label %s is %s', (ports, label, port) => {
  expect(webPortOf(ports, label)).toBe(port);
});

it('a port is taken to speak what is usual there', () => {
  expect([80, 5432, 7001].map(protocolOf)).toEqual(['http', 'tcp', 'unknown']);
});

it('labels of OrbStack count where ours are not given', () => {
  const orbstack = { 'dev.orbstack.domains': 'foo.local,*.foo.local', 'dev.orbstack.http-port': '81' };
  expect(readNameLabels(orbstack, 'hypr')).toEqual({
    domains: [{ host: 'foo.local.' }, { host: '*.foo.local.' }],
    httpPort: 81,
    https: true,
    problems: [],
  });
  const ours = { 'hypr.domains': 'bar.hypr', 'hypr.http-port': '82', 'hypr.https': 'False', 'hypr.host-header': 'localhost:3000' };
  expect(readNameLabels({ ...orbstack, ...ours }, 'hypr')).toEqual({
    domains: [{ host: 'bar' }],
    httpPort: 82,
    https: false,
    hostHeader: 'localhost:3000',
    problems: [],
  });
});
