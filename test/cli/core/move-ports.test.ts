import { expect, test } from 'vitest';
import { movedPorts, withMovablePorts } from '../../../cli/core/move-ports.ts';
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

test('a port that was moved is told, others are not', () => {
  const ports = [
    { protocol: 'tcp' as const, hostAddress: '127.0.0.1', hostPort: 8081, port: 80 },
    { protocol: 'tcp' as const, hostAddress: '127.0.0.1', hostPort: 8082, port: 81 },
    { protocol: 'tcp' as const, hostAddress: '127.0.0.1', hostPort: 9000, port: 82 },
  ];
  const web = replica({ service: 'web', name: 'shop-web-1', ports });
  expect(movedPorts(withMovablePorts(project('8080', '8081', '9000')), [web])).toEqual([
    'port 8080 is taken: shop-web-1 is published at 8081 instead',
    'port 8081 is taken: shop-web-1 is published at 8082 instead',
  ]);
});
