import { describe, expect, test } from 'vitest';
import { UP_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import type { Desired } from '../../../engine/plan/desired-state.ts';
import { formatPlan } from '../../../engine/plan/plan.ts';
import { reconcile } from '../../../engine/plan/reconcile.ts';
import { desiredOf, needs, observedOf, projectOf, replicaOf } from '../support/project.ts';

const shop = projectOf({ db: {}, api: { depends_on: needs(['db', 'service_healthy']) }, web: { depends_on: needs('api') } });
const needService = (desired: Desired, name: string) => {
  const service = desired.services[name];
  if (service === undefined) {
    throw new Error(`no service ${name}`);
  }
  return service;
};
const planOf = (...args: Parameters<typeof reconcile>): string => formatPlan(reconcile(...args));

describe('up of a new stack', () => {
  test('networks and volumes first; boots do not wait for dependencies, starts do', () => {
    expect(planOf(desiredOf(shop, { volumes: { db: ['shop_data'] } }), observedOf([]), UP_DEFAULTS)).toBe(
      [
        '#1 create-network default (no such network yet)',
        '#2 create-volume shop_data (no such volume yet)',
        '#3 create shop-db-1 (no replica yet) after #1 #2',
        '#4 boot shop-db-1 (no replica yet) after #3',
        '#5 start shop-db-1 (no replica yet) after #4',
        '#6 create shop-api-1 (no replica yet) after #1',
        '#7 boot shop-api-1 (no replica yet) after #6',
        '#8 await db service_healthy (api depends on it) after #5',
        '#9 start shop-api-1 (no replica yet) after #7 #8',
        '#10 create shop-web-1 (no replica yet) after #1',
        '#11 boot shop-web-1 (no replica yet) after #10',
        '#12 await api service_started (web depends on it) after #9',
        '#13 start shop-web-1 (no replica yet) after #11 #12',
        '',
      ].join('\n'),
    );
  });

  test('every operation on a replica says which service and number it is for', () => {
    const desired = desiredOf(shop, { scale: { api: 2 } });
    // As with container_name: what the name says is not what it stands for.
    const db = { ...needService(desired, 'db'), nameOf: () => 'db-2' };
    const plan = reconcile(
      { ...desired, services: { ...desired.services, db } },
      observedOf([replicaOf('api', { number: 2, configHash: 'old' })]),
      UP_DEFAULTS,
    );
    const targets = plan.nodes.flatMap(({ operation }) =>
      'replica' in operation ? [`${operation.type} ${operation.replica} = ${operation.service} ${operation.number}`] : [],
    );
    expect(targets).toContain('create db-2 = db 1');
    expect(targets).toContain('create shop-api-2 = api 2');
    expect(targets).toContain('remove shop-api-2 = api 2');
    expect(targets).toContain('start shop-api-1 = api 1');
  });

  test('a named service brings its dependencies and nothing else', () => {
    const plan = planOf(desiredOf(shop), observedOf([]), { ...UP_DEFAULTS, services: ['api'] });
    expect(plan).toContain('start shop-db-1');
    expect(plan).toContain('start shop-api-1');
    expect(plan).not.toContain('web');
  });

  test('--no-deps brings only the named one, and waits for nothing that is not there', () => {
    const plan = planOf(desiredOf(shop), observedOf([]), { ...UP_DEFAULTS, services: ['api'], noDeps: true });
    expect(plan).not.toContain('db');
  });

  test('--no-start creates and does not boot', () => {
    expect(planOf(desiredOf(shop), observedOf([]), { ...UP_DEFAULTS, noStart: true })).not.toMatch(/boot|start/);
  });
});

describe('up of a stack that runs', () => {
  const running = [replicaOf('db'), replicaOf('api'), replicaOf('web')];

  test('nothing changed: an empty plan', () => {
    expect(planOf(desiredOf(shop), observedOf(running), UP_DEFAULTS)).toBe('');
  });

  test('a changed service is replaced in place, keeping its anonymous volumes; the others stay', () => {
    expect(planOf(desiredOf(shop, { hash: { api: 'new' } }), observedOf(running), UP_DEFAULTS)).toBe(
      [
        '#1 stop shop-api-1 (its configuration changed)',
        '#2 remove shop-api-1 keeping its anonymous volumes (its configuration changed) after #1',
        '#3 create shop-api-1 (its configuration changed) after #2',
        '#4 boot shop-api-1 (its configuration changed) after #3',
        '#5 await db service_healthy (api depends on it)',
        '#6 start shop-api-1 (its configuration changed) after #4 #5',
        '',
      ].join('\n'),
    );
  });

  test('a dependent with restart: true follows a replaced dependency', () => {
    const project = projectOf({ db: {}, api: { depends_on: { db: { condition: 'service_started', required: true, restart: true } } } });
    const plan = planOf(desiredOf(project, { hash: { db: 'new' } }), observedOf([replicaOf('db'), replicaOf('api')]), UP_DEFAULTS);
    expect(plan).toContain('stop shop-api-1 (db is replaced and restarts its dependents)');
    expect(plan).toContain('start shop-api-1 (db is replaced and restarts its dependents)');
    expect(plan).not.toContain('remove shop-api-1');
  });

  test('an ended replica starts again; a paused one goes on', () => {
    const plan = planOf(
      desiredOf(shop),
      observedOf([replicaOf('db', { state: 'exited' }), replicaOf('api', { state: 'paused' }), replicaOf('web')]),
      UP_DEFAULTS,
    );
    expect(plan).toBe('#1 boot shop-db-1 (it is exited)\n#2 start shop-db-1 (it is exited) after #1\n#3 unpause shop-api-1 (paused)\n');
  });

  test('--force-recreate with named services leaves dependencies alone', () => {
    const plan = planOf(desiredOf(shop), observedOf(running), { ...UP_DEFAULTS, services: ['web'], forceRecreate: true });
    expect(plan).toContain('remove shop-web-1');
    expect(plan).not.toMatch(/remove shop-(db|api)/);
  });

  test('--no-recreate keeps a changed replica', () => {
    expect(planOf(desiredOf(shop, { hash: { web: 'new' } }), observedOf(running), { ...UP_DEFAULTS, noRecreate: true })).toBe('');
  });
});

describe('scale and orphans', () => {
  const project = projectOf({ web: {} });

  test('up takes the lowest free numbers', () => {
    const plan = planOf(desiredOf(project, { scale: { web: 3 } }), observedOf([replicaOf('web', { number: 2 })]), UP_DEFAULTS);
    expect(plan).toContain('create shop-web-1');
    expect(plan).toContain('create shop-web-3');
    expect(plan).not.toContain('create shop-web-2');
  });

  test('down removes the highest numbers', () => {
    const plan = planOf(
      desiredOf(project, { scale: { web: 1 } }),
      observedOf([1, 2, 3].map((number) => replicaOf('web', { number }))),
      UP_DEFAULTS,
    );
    expect(plan).toContain('remove shop-web-2');
    expect(plan).toContain('remove shop-web-3');
    expect(plan).not.toContain('shop-web-1 ');
  });

  test('what a service asks for in vain is said', () => {
    const given = { ...project, services: { ...project.services, web: { ...project.services.web, pids_limit: 5, cpuset: '0' } } };
    expect(planOf(desiredOf(given), observedOf([replicaOf('web')]), UP_DEFAULTS)).toMatch(
      /^! service web: without effect in a machine of its own: cpuset, pids_limit$/m,
    );
  });

  test('orphans are named, and removed only when asked', () => {
    const observed = observedOf([replicaOf('web'), replicaOf('old')]);
    expect(planOf(desiredOf(project), observed, UP_DEFAULTS)).toMatch(/^! Found orphan containers \(\[shop-old-1]\)/);
    expect(planOf(desiredOf(project), observed, { ...UP_DEFAULTS, removeOrphans: true })).toBe(
      '#1 stop shop-old-1 (its service is gone from the file)\n#2 remove shop-old-1 (its service is gone from the file) after #1\n',
    );
  });

  test('one-offs are nobody’s replicas, and orphans once they have ended', () => {
    const withOneOff = (state: 'running' | 'exited') =>
      observedOf([replicaOf('web'), replicaOf('web', { name: 'shop-web-run-1', oneOff: true, state })]);
    expect(planOf(desiredOf(project), withOneOff('running'), UP_DEFAULTS)).toBe('');
    expect(planOf(desiredOf(project), withOneOff('exited'), UP_DEFAULTS)).toMatch(/^! Found orphan containers \(\[shop-web-run-1]\)/);
    expect(planOf(desiredOf(project), withOneOff('exited'), { ...UP_DEFAULTS, ignoreOrphans: true })).toBe('');
  });
});

const web = projectOf({ web: {} });

describe('pre_start hooks', () => {
  const hooked = () => {
    const desired = desiredOf(web);
    const preStart = [0, 1].map((index) => ({ key: `web pre_start[${index}]`, index, replica: `shop-web-pre_start-${index}` }));
    return { ...desired, services: { ...desired.services, web: { ...needService(desired, 'web'), scale: 2, preStart } } };
  };
  const hooksOf = (text: string) => text.split('\n').filter((line) => line.includes('pre-start'));

  test('run once for the service, one after the other, when its first replica is there and before any of them boots', () => {
    const text = planOf(hooked(), observedOf([]), UP_DEFAULTS);
    const [first = '', second = ''] = hooksOf(text);
    expect(hooksOf(text)).toHaveLength(2);
    expect(second).toMatch(new RegExp(` after ${/^#\d+/.exec(first)?.[0]}$`));
    const last = /^#\d+/.exec(second)?.[0];
    for (const boot of text.split('\n').filter((line) => line.includes(' boot shop-web-'))) {
      expect(boot).toMatch(new RegExp(` ${last}( |$)`));
    }
  });

  test('do not run again while a replica runs, but do when all are replaced', () => {
    expect(hooksOf(planOf(hooked(), observedOf([replicaOf('web')]), UP_DEFAULTS))).toEqual([]);
    expect(hooksOf(planOf(hooked(), observedOf([replicaOf('web')]), { ...UP_DEFAULTS, forceRecreate: true }))).toHaveLength(2);
  });
});

describe('what is kept', () => {
  test('scaling down removes what would be replaced before what is up to date', () => {
    const stale = { configHash: 'other' };
    const observed = observedOf([replicaOf('web', stale), replicaOf('web', { number: 2, name: 'shop-web-2' })]);
    expect(planOf(desiredOf(web), observed, UP_DEFAULTS)).toBe(
      '#1 stop shop-web-1 (scaled down to 1)\n#2 remove shop-web-1 (scaled down to 1) after #1\n',
    );
  });

  test('networks and volumes that no service has are made when the model keeps them (--all-resources)', () => {
    const kept = {
      ...web,
      networks: { ...web.networks, spare: { name: 'shop_spare' } },
      volumes: { ...web.volumes, spare: { name: 'shop_spare' }, out: { name: 'out', external: true } },
    };
    expect(planOf(desiredOf(kept), observedOf([replicaOf('web')]), UP_DEFAULTS)).toBe(
      '#1 create-network spare (no such network yet)\n#2 create-volume shop_spare (no such volume yet)\n',
    );
  });
});
