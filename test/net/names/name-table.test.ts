import { expect, it } from 'vitest';
import { buildNameTable, hostNames, type NamedReplica, searchDomains } from '../../../net/names/name-table.ts';

const web = (number: number, changes: Partial<NamedReplica> = {}): NamedReplica => ({
  network: 'front',
  address: `10.0.0.${number + 2}`,
  service: 'web',
  number,
  name: `shop-web-${number}`,
  aliases: ['web', 'WWW'],
  ...changes,
});

it('answers all replicas of a service, aliases and single replicas, in lower case', () => {
  expect(buildNameTable({ project: 'shop', networks: ['front'], replicas: [web(1), web(2)] })).toEqual({
    web: ['10.0.0.3', '10.0.0.4'],
    'web.shop.hypr': ['10.0.0.3', '10.0.0.4'],
    www: ['10.0.0.3', '10.0.0.4'],
    'www.shop.hypr': ['10.0.0.3', '10.0.0.4'],
    'shop-web-1': ['10.0.0.3'],
    'shop-web-1.shop.hypr': ['10.0.0.3'],
    'shop-web-1.hypr': ['10.0.0.3'],
    'web-1.shop.hypr': ['10.0.0.3'],
    'web-2.shop.hypr': ['10.0.0.4'],
    'shop-web-2': ['10.0.0.4'],
    'shop-web-2.shop.hypr': ['10.0.0.4'],
    'shop-web-2.hypr': ['10.0.0.4'],
  });
});

it('does not show what is on other networks only', () => {
  const table = buildNameTable({
    project: 'shop',
    networks: ['front'],
    replicas: [web(1), web(1, { network: 'back', address: '10.1.0.9' })],
  });
  expect(table.web).toEqual(['10.0.0.3']);
  expect(buildNameTable({ project: 'shop', networks: [], replicas: [web(1)] })).toEqual({});
});

it('keeps one-off replicas out of the service name', () => {
  const table = buildNameTable({
    project: 'shop',
    networks: ['front'],
    replicas: [web(1, { name: 'shop-web-run-1', oneOff: true, hostname: 'Box' })],
  });
  expect(table.web).toBeUndefined();
  expect(table.box).toEqual(['10.0.0.3']);
  expect(table['shop-web-run-1']).toEqual(['10.0.0.3']);
});

it('knows the links of who asks: all replicas of a service it shares a network with, under another name', () => {
  const replicas = [web(1), web(2), web(3, { oneOff: true }), web(4, { network: 'back', address: '10.1.0.9' })];
  const table = buildNameTable({ project: 'shop', networks: ['front'], replicas, links: { Site: 'web', none: 'gone', '': 'web' } });
  expect([table.site, table['site.shop.hypr']]).toEqual(Array(2).fill(['10.0.0.3', '10.0.0.4']));
  expect(Object.keys(table).filter((name) => name === '' || name.startsWith('none'))).toEqual([]);
});

it('lets fixed names win and drops what no query can ask', () => {
  const extra = { ...hostNames('10.0.0.254'), WEB: ['192.0.2.1'], 'a..b': ['192.0.2.2'], [`${'x'.repeat(64)}.y`]: ['192.0.2.3'] };
  const table = buildNameTable({ project: 'Shop', networks: ['front'], replicas: [web(1, { hostname: 'white space' })], extra });
  expect(table.web).toEqual(['192.0.2.1']);
  expect(table['host.docker.internal']).toEqual(['10.0.0.254']);
  expect(table['host.hypr']).toEqual(['10.0.0.254']);
  expect(Object.keys(table).filter((name) => name.includes('x'.repeat(64)) || name.includes('..') || name.includes(' '))).toEqual([]);
  expect(hostNames(undefined)).toEqual({});
  expect(searchDomains('Shop')).toEqual(['shop.hypr']);
});

it('is a table even for names that objects have anyway', () => {
  const table = buildNameTable({
    project: 'shop',
    networks: ['front'],
    replicas: [web(1, { service: 'constructor', aliases: ['__proto__'] })],
  });
  expect(table.constructor).toEqual(['10.0.0.3']);
  expect(Object.keys(table)).toContain('__proto__');
  expect(buildNameTable({ project: 'shop', networks: ['front'], replicas: [] }).toString).toBeUndefined();
});

it('knows replicas by the names that the host has for them', () => {
  const table = buildNameTable({
    project: 'my_shop',
    networks: ['front'],
    replicas: [
      web(1, { service: 'my_app', aliases: [], name: 'a' }),
      web(2, { service: 'my.app', aliases: [], name: 'b' }),
      web(3, { service: 'web', aliases: [], name: 'c' }),
      web(4, { service: 'other', aliases: [], name: 'd', network: 'back' }),
      web(5, { service: 'once', aliases: [], name: 'e', oneOff: true }),
    ],
  });
  expect(table['my-app.my-shop.hypr']).toEqual(['10.0.0.3']);
  expect(table['my-app-1.my-shop.hypr']).toEqual(['10.0.0.3']);
  expect(table['web-3.my-shop.hypr']).toEqual(['10.0.0.5']);
  expect(Object.keys(table).filter((name) => /other|once/.test(name))).toEqual([]);
});

it('leaves a name to the service that is written so', () => {
  const table = buildNameTable({
    project: 'shop',
    networks: ['front'],
    replicas: [
      web(1, { service: 'my_app', aliases: [] }),
      web(2, { service: 'my-app', aliases: [] }),
      web(1, { service: 'web-1', address: '10.0.0.9' }),
    ],
  });
  expect(table['my-app.shop.hypr']).toEqual(['10.0.0.4']);
  expect(table['web-1.shop.hypr']).toEqual(['10.0.0.9']);
});
