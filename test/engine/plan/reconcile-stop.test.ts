import { describe, expect, test } from 'vitest';
import { VERB_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import { formatPlan } from '../../../engine/plan/plan.ts';
import { reconcileStop, type StopGoal } from '../../../engine/plan/reconcile-stop.ts';
import { reconcileVerb } from '../../../engine/plan/reconcile-verb.ts';
import { needs, observedOf, projectOf, replicaOf } from '../support/project.ts';

const shop = projectOf({ db: {}, api: { depends_on: needs('db') }, web: { depends_on: needs('api') } });
const running = observedOf([replicaOf('api'), replicaOf('db'), replicaOf('web')]);

const goal: StopGoal = {
  project: shop,
  services: [],
  timeout: undefined,
  remove: true,
  removeAnonymous: false,
  onlyStopped: false,
  includeOrphans: false,
  includeOneOffs: true,
  networks: ['default'],
  volumes: [],
  images: [],
  cause: 'down',
};

test('down: dependents first, then networks, volumes and images', () => {
  expect(formatPlan(reconcileStop({ ...goal, volumes: ['shop_data'], images: ['db:1'] }, running))).toBe(
    [
      '#1 stop shop-web-1 (down)',
      '#2 remove shop-web-1 (down) after #1',
      '#3 stop shop-api-1 (down) after #2',
      '#4 remove shop-api-1 (down) after #3',
      '#5 stop shop-db-1 (down) after #4',
      '#6 remove shop-db-1 (down) after #5',
      '#7 remove-network default (down) after #2 #4 #6',
      '#8 remove-volume shop_data (asked to remove volumes) after #2 #4 #6 #7',
      '#9 remove-image db:1 (asked to remove images) after #2 #4 #6',
      '',
    ].join('\n'),
  );
});

test('down leaves orphans unless asked', () => {
  const observed = observedOf([replicaOf('db'), replicaOf('old')]);
  expect(formatPlan(reconcileStop(goal, observed))).not.toContain('old');
  expect(formatPlan(reconcileStop({ ...goal, includeOrphans: true }, observed))).toContain('remove shop-old-1');
});

test('rm without -s touches only what has ended', () => {
  const observed = observedOf([replicaOf('db'), replicaOf('api', { state: 'exited' })]);
  const plan = formatPlan(reconcileVerb({ verb: 'rm', project: shop, options: VERB_DEFAULTS }, observed));
  expect(plan).toBe('#1 remove shop-api-1 (asked to remove)\n');
});

describe('verbs', () => {
  test('start goes by dependencies and starts only what is off', () => {
    const observed = observedOf([replicaOf('db', { state: 'exited' }), replicaOf('api', { state: 'exited' }), replicaOf('web')]);
    expect(formatPlan(reconcileVerb({ verb: 'start', project: shop, options: VERB_DEFAULTS }, observed))).toBe(
      [
        '#1 boot shop-db-1 (asked to start)',
        '#2 start shop-db-1 (asked to start) after #1',
        '#3 boot shop-api-1 (asked to start)',
        '#4 await db service_started (api depends on it) after #2',
        '#5 start shop-api-1 (asked to start) after #3 #4',
        '',
      ].join('\n'),
    );
  });

  test('restart stops and starts the named service only', () => {
    expect(
      formatPlan(reconcileVerb({ verb: 'restart', project: shop, options: { ...VERB_DEFAULTS, services: ['api'], timeout: 3 } }, running)),
    ).toBe(
      '#1 stop shop-api-1 within 3s (asked to restart)\n#2 boot shop-api-1 (asked to restart) after #1\n#3 start shop-api-1 (asked to restart) after #2\n',
    );
  });

  test('restart starts what restarts along once its condition holds again', () => {
    const depends = { condition: 'service_healthy', required: true, restart: true } as const;
    const project = projectOf({
      db: {},
      api: { depends_on: { db: depends } },
      web: { depends_on: { db: { ...depends, restart: false } } },
    });
    expect(formatPlan(reconcileVerb({ verb: 'restart', project, options: { ...VERB_DEFAULTS, services: ['db'] } }, running))).toBe(
      [
        '#1 stop shop-db-1 (asked to restart)',
        '#2 boot shop-db-1 (asked to restart) after #1',
        '#3 start shop-db-1 (asked to restart) after #2',
        '#4 await db service_healthy (api depends on it) after #3',
        '#5 stop shop-api-1 (asked to restart) after #4',
        '#6 boot shop-api-1 (asked to restart) after #5',
        '#7 start shop-api-1 (asked to restart) after #4 #6',
        '',
      ].join('\n'),
    );
  });

  test('restart stops at once what its dependencies only have to be started for', () => {
    const plan = formatPlan(
      reconcileVerb({ verb: 'restart', project: shop, options: { ...VERB_DEFAULTS, services: ['db', 'api'] } }, running),
    );
    expect(plan).toMatch(/await db service_started .*\n#5 stop shop-api-1 \(asked to restart\)\n/);
  });

  test('restart --no-deps waits for nothing', () => {
    const options = { ...VERB_DEFAULTS, noDeps: true };
    expect(formatPlan(reconcileVerb({ verb: 'restart', project: shop, options }, running))).not.toContain('await');
  });

  test('kill takes a signal by name', () => {
    expect(
      formatPlan(reconcileVerb({ verb: 'kill', project: shop, options: { ...VERB_DEFAULTS, services: ['db'], signal: 'HUP' } }, running)),
    ).toBe('#1 kill shop-db-1 with signal 1 (asked to kill)\n');
  });

  test('an unknown service is refused with the ones there are', () => {
    expect(() => reconcileVerb({ verb: 'stop', project: shop, options: { ...VERB_DEFAULTS, services: ['dB'] } }, running)).toThrow(
      'no such service: dB',
    );
  });

  test('one-offs are never touched', () => {
    const observed = observedOf([replicaOf('db', { oneOff: true, name: 'shop-db-run-1' })]);
    expect(formatPlan(reconcileVerb({ verb: 'stop', project: shop, options: VERB_DEFAULTS }, observed))).toBe('');
  });
});
