import { describe, expect, test } from 'vitest';
import { UP_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import type { DesiredService } from '../../../engine/plan/desired-state.ts';
import { formatPlan } from '../../../engine/plan/plan.ts';
import { reconcile } from '../../../engine/plan/reconcile.ts';
import { desiredOf, needs, observedOf, projectOf, replicaOf } from '../support/project.ts';

const planOf = (...args: Parameters<typeof reconcile>): string => formatPlan(reconcile(...args));

describe('a changed network', () => {
  const project = projectOf({ web: {}, other: {}, done: {} });
  const observed = observedOf([replicaOf('web'), replicaOf('other'), replicaOf('done', { state: 'exited' })], {
    networks: { default: 'old' },
  });
  const cause = '(the configuration of network default changed)';

  test('its users are stopped, it is made anew, they are started with the disks they have', () => {
    expect(planOf(desiredOf(projectOf({ web: {} })), observedOf([replicaOf('web')], { networks: { default: 'old' } }), UP_DEFAULTS)).toBe(
      [
        `#1 stop shop-web-1 ${cause}`,
        `#2 remove-network default ${cause} after #1`,
        `#3 create-network default ${cause} after #2`,
        '#4 boot shop-web-1 (its network changed) after #1 #3',
        '#5 start shop-web-1 (its network changed) after #4',
        '',
      ].join('\n'),
    );
  });

  test('one whose own configuration changed as well is replaced, and stopped once', () => {
    const plan = planOf(
      desiredOf(projectOf({ web: {} }), { hash: { web: 'new' } }),
      observedOf([replicaOf('web')], { networks: { default: 'old' } }),
      UP_DEFAULTS,
    );
    expect(plan.match(/stop shop-web-1/g)).toHaveLength(1);
    expect(plan).toContain('#4 remove shop-web-1 keeping its anonymous volumes (its configuration changed) after #1');
    expect(plan).toContain('#5 create shop-web-1 (its configuration changed) after #3 #4');
  });

  test('services that were not named come back, too; what was off stays off', () => {
    const plan = planOf(desiredOf(project, { services: ['web'] }), observed, { ...UP_DEFAULTS, services: ['web'] });
    expect(plan).toContain('stop shop-other-1');
    expect(plan).toMatch(/boot shop-other-1 \(its network changed\) after #2 #4/);
    expect(plan).not.toContain('shop-done-1');
  });

  test('those that were not named start dependencies first, each when what started again holds its condition', () => {
    const chain = projectOf({
      init: {},
      off: {},
      api: { depends_on: needs(['zdb', 'service_healthy'], ['init', 'service_completed_successfully'], 'off') },
      web: {},
      zdb: {},
    });
    const states = observedOf(
      [replicaOf('init'), replicaOf('off', { state: 'exited' }), replicaOf('api'), replicaOf('web'), replicaOf('zdb')],
      {
        networks: { default: 'old' },
      },
    );
    const lines = planOf(desiredOf(chain, { services: ['web'] }), states, { ...UP_DEFAULTS, services: ['web'] }).split('\n');
    const idOf = (text: string): string => /^#\d+/.exec(lines.find((line) => line.includes(text)) ?? '')?.[0] ?? `no ${text}`;
    const lineOf = (text: string): string => lines.find((line) => line.includes(text)) ?? `no ${text}`;
    expect(lineOf(' await zdb service_healthy')).toMatch(new RegExp(` after ${idOf(' start shop-zdb-1')}$`));
    expect(lineOf(' await init service_completed')).toMatch(new RegExp(` after ${idOf(' start shop-init-1')}$`));
    expect(lineOf(' start shop-api-1')).toMatch(new RegExp(`${idOf(' await zdb')}( |$)`));
    expect(lines.join('\n')).not.toMatch(/await off|shop-off-1/);
  });

  test('with --no-deps a service waits for a dependency that comes back on the network', () => {
    const pair = projectOf({ db: {}, web: { depends_on: needs(['db', 'service_healthy']) } });
    const both = observedOf([replicaOf('db'), replicaOf('web')], { networks: { default: 'old' } });
    const plan = planOf(desiredOf(pair, { services: ['web'] }), both, { ...UP_DEFAULTS, services: ['web'], noDeps: true });
    const start = /^(#\d+) start shop-db-1/m.exec(plan)?.[1];
    expect(plan).toMatch(new RegExp(`await db service_healthy .* after ${start}$`, 'm'));
  });

  test('a service that leaves it is stopped before it is removed', () => {
    const two = { default: 'n', front: 'f' };
    const left = observedOf([replicaOf('web'), replicaOf('other')], { networks: { default: 'old', front: 'f' } });
    const wanted = desiredOf(projectOf({ web: {}, other: {} }), { networks: two, on: { other: ['front'] }, hash: { other: 'new' } });
    expect(planOf(wanted, left, UP_DEFAULTS)).toContain(`#3 remove-network default ${cause} after #1 #2`);
  });

  test('an orphan on it comes back, or is only removed with --remove-orphans', () => {
    const orphaned = observedOf([replicaOf('web'), replicaOf('old')], { networks: { default: 'old' } });
    const wanted = desiredOf(projectOf({ web: {} }));
    const kept = planOf(wanted, orphaned, UP_DEFAULTS);
    expect(kept).toContain(`remove-network default ${cause} after #1 #2`);
    expect(kept).toMatch(/boot shop-old-1 \(its network changed\) after #2 #4/);
    const removed = planOf(wanted, orphaned, { ...UP_DEFAULTS, removeOrphans: true });
    expect(removed.match(/ stop shop-old-1/g)).toHaveLength(1);
    expect(removed).toMatch(/ remove shop-old-1 /);
    expect(removed).not.toMatch(/boot shop-old-1/);
  });

  test('subnets may move from one to another: all are removed before any is made, new ones too', () => {
    const wanted = desiredOf(projectOf({ web: {} }), { networks: { a: 'new', b: 'new', c: 'c' }, on: { web: ['a', 'b', 'c'] } });
    const swapped = observedOf([replicaOf('web', { state: 'exited' })], { networks: { a: 'old', b: 'old' } });
    expect(planOf(wanted, swapped, UP_DEFAULTS).split('\n').slice(0, 5)).toEqual([
      '#1 remove-network a (the configuration of network a changed)',
      '#2 remove-network b (the configuration of network b changed)',
      '#3 create-network a (the configuration of network a changed) after #1 #2',
      '#4 create-network b (the configuration of network b changed) after #1 #2',
      '#5 create-network c (no such network yet) after #1 #2',
    ]);
  });

  test('replicas of the service that a one-off is of come back', () => {
    const wanted = desiredOf(projectOf({ web: {} }));
    const run = { ...(wanted.services.web as DesiredService), oneOff: true, nameOf: () => 'shop-web-run-1' };
    const plan = planOf({ ...wanted, services: { web: run } }, observedOf([replicaOf('web')], { networks: { default: 'old' } }), {
      ...UP_DEFAULTS,
      services: ['web'],
    });
    expect(plan).toContain('start shop-web-1 (its network changed)');
  });
});

test('a volume to be made anew: its users go, it is removed and made, they come back; the others stay', () => {
  const project = {
    ...projectOf({ web: { volumes: [{ type: 'volume', source: 'data', target: '/data' }] }, other: {} }),
    volumes: { data: { name: 'shop_data' } },
  };
  const desired = desiredOf(project, { volumes: { web: ['shop_data'] } });
  const observed = { ...observedOf([replicaOf('web'), replicaOf('other')]), volumes: new Set(['shop_data']) };
  expect(planOf(desired, observed, UP_DEFAULTS)).toBe('');
  expect(planOf(desired, observed, { ...UP_DEFAULTS, recreateVolumes: ['shop_data', 'foreign'] })).toBe(
    [
      '#1 stop shop-web-1 (the configuration of volume shop_data changed)',
      '#2 remove shop-web-1 keeping its anonymous volumes (the configuration of volume shop_data changed) after #1',
      '#3 remove-volume shop_data (the configuration of volume shop_data changed) after #2',
      '#4 create-volume shop_data (the configuration of volume shop_data changed) after #3',
      '#5 create shop-web-1 (its volume changed) after #2 #4',
      '#6 boot shop-web-1 (its volume changed) after #5',
      '#7 start shop-web-1 (its volume changed) after #6',
      '',
    ].join('\n'),
  );
});

test.each([
  ['has a size, and is mounted by two', { driver_opts: { size: '1g' } }],
  ['has a driver that is not loaded', { driver: 'nfs' }],
])('such a volume that %s in the file is refused before it is removed', (_, config) => {
  const volumes = [{ type: 'volume', source: 'data', target: '/data' } as const];
  const project = { ...projectOf({ a: { volumes }, b: { volumes } }), volumes: { data: { name: 'shop_data', ...config } } };
  const desired = desiredOf(project, { volumes: { a: ['shop_data'], b: ['shop_data'] } });
  const observed = observedOf([replicaOf('a'), replicaOf('b')], { volumes: new Set(['shop_data']) });
  expect(planOf(desired, observed, UP_DEFAULTS)).toBe('');
  expect(() => planOf(desired, observed, { ...UP_DEFAULTS, recreateVolumes: ['shop_data'] })).toThrow(
    expect.objectContaining({ code: 'HYPR_UNSUPPORTED', message: expect.stringContaining('shop_data') }),
  );
});

test('a user of such a volume that was not named is removed, said, and not started', () => {
  const volumes = [{ type: 'volume', source: 'data', target: '/data' } as const];
  const project = { ...projectOf({ a: { volumes }, b: { volumes } }), volumes: { data: { name: 'shop_data' } } };
  const desired = desiredOf(project, { services: ['a'], volumes: { a: ['shop_data'] } });
  const observed = observedOf([replicaOf('a'), replicaOf('b')], { volumes: new Set(['shop_data']) });
  const plan = planOf(desired, observed, { ...UP_DEFAULTS, services: ['a'], recreateVolumes: ['shop_data'] });
  expect(plan).toContain('remove shop-b-1');
  expect(plan).toContain('start shop-a-1');
  expect(plan).not.toMatch(/(boot|start|create) shop-b-1/);
  expect(plan).toContain('! shop-b-1 has volume shop_data, too, and is removed: "hypr compose up b" makes it again');
});
