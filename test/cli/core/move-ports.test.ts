import { expect, test } from 'vitest';
import { Flags } from '../../../cli/core/flags.ts';
import { movedPorts, movesPorts, withMovablePorts } from '../../../cli/core/move-ports.ts';
import type { Project } from '../../../compose/model/model.ts';
import { fakeProject } from '../support/fake-context.ts';
import { replica } from '../support/fake-engine.ts';

const project = (...published: Array<string | undefined>): Project => ({
  ...fakeProject(),
  services: {
    web: {
      image: 'nginx',
      ports: published.map((port, index) => ({ target: 80 + index, protocol: 'tcp', ...(port === undefined ? {} : { published: port }) })),
    } as unknown as Project['services'][string],
  },
});

const portsOf = (given: Project) => given.services.web?.ports?.map(({ published }) => published);

test('a fixed port becomes the first of a range; ranges and free choices stay', () => {
  expect(portsOf(withMovablePorts(project('8080', '9000-9010', undefined, '65500')))).toEqual([
    '8080-8179',
    '9000-9010',
    undefined,
    '65500-65535',
  ]);
});

const at = (...hostPorts: number[]) =>
  hostPorts.map((hostPort, index) => ({ protocol: 'tcp' as const, hostAddress: '127.0.0.1', hostPort, port: 80 + index }));

test('a range of the file is none that was moved, nor is the port of a further replica', () => {
  const web = [1, 2, 3].map((number) => replica({ service: 'web', name: `shop-web-${number}`, number, ports: at(8079 + number) }));
  expect(movedPorts(project('8080-8090'), web.slice(1))).toEqual([]);
  expect(movedPorts(project('8080'), web)).toEqual([]);
  expect(movedPorts(project('8080'), web.toReversed().slice(0, 2))).toEqual([
    'port 8080 is taken: shop-web-2 is published at 8081 instead',
  ]);
});

test('of two ports that lead to the same one of the service each has its own', () => {
  const ports = [8081, 8080].map((hostPort) => ({ protocol: 'tcp' as const, hostAddress: '127.0.0.1', hostPort, port: 80 }));
  const both = project('8080', '8081');
  const services = { web: { ...both.services.web, ports: both.services.web?.ports?.map((port) => ({ ...port, target: 80 })) } };
  expect(movedPorts({ ...both, services } as Project, [replica({ service: 'web', ports })])).toEqual([]);
});

test('the words of HYPR_PORTS are those of --ports', () => {
  const flags = new Flags({}, new Map([['ports', { name: 'ports', type: 'string' } as never]]));
  const unset = { path: '', read: () => ({}), write: async () => {} };
  expect(
    [{}, { HYPR_PORTS: '' }, { HYPR_PORTS: 'fixed' }, { HYPR_PORTS: 'auto' }].map((env) => movesPorts(flags, { env, settings: unset })),
  ).toEqual([...[false, false, false], true]);
  expect(() => movesPorts(flags, { env: { HYPR_PORTS: 'atuo' }, settings: unset })).toThrow(
    expect.objectContaining({ code: 'HYPR_USAGE' }),
  );
});

test('a port that was moved is told, others are not', () => {
  const web = replica({ service: 'web', name: 'shop-web-1', ports: at(8081, 8082, 9000) });
  expect(movedPorts(project('8080', '8081', '9000'), [web])).toEqual([
    'port 8080 is taken: shop-web-1 is published at 8081 instead',
    'port 8081 is taken: shop-web-1 is published at 8082 instead',
  ]);
});
