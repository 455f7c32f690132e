import { expect, test } from 'vitest';
import { preStartHooks, withPreStart } from '../../../engine/resolve/pre-start.ts';
import { projectOf } from '../support/project.ts';

const volumes = [{ type: 'volume' as const, source: 'data', target: '/data' }];

test('pre_start › a hook is a service of its own with volumes, networks and environment of its service', () => {
  const project = projectOf({
    web: {
      image: 'web:1',
      command: ['serve'],
      environment: { A: '1', B: '1' },
      ports: [{ target: 80 }],
      volumes,
      networks: { default: { aliases: ['x'], ipv4_address: '10.0.0.9' } },
      pre_start: [
        { command: ['init'], environment: { B: '2' }, user: 'app' },
        { command: ['then'], image: 'other:2' },
      ],
    },
  });
  const [first, second] = preStartHooks(project, 'web');
  expect(first).toEqual({ key: 'web pre_start[0]', index: 0, replica: 'shop-web-pre_start-0' });
  const { services } = withPreStart(project, ['web']);
  expect(services[first?.key ?? '']).toEqual({
    image: 'web:1',
    command: ['init'],
    environment: { A: '1', B: '2' },
    volumes,
    networks: { default: null },
    user: 'app',
  });
  expect(services[second?.key ?? '']).toMatchObject({ image: 'other:2', command: ['then'] });
});

test('pre_start › of a service that is built its policy is missing; per_replica is refused', () => {
  const project = projectOf({ web: { build: { context: '/w' }, pull_policy: 'build', pre_start: [{ command: ['x'] }] } });
  expect(withPreStart(project, ['web']).services['web pre_start[0]']).toMatchObject({ pull_policy: 'missing' });
  const each = projectOf({ web: { image: 'a', pre_start: [{ command: ['x'], per_replica: true }] } });
  expect(() => withPreStart(each, ['web'])).toThrow('per_replica is not supported');
  expect(withPreStart(each, [])).toBe(each);
});
