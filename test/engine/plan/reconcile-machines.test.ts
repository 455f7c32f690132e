import { describe, expect, test } from 'vitest';
import { UP_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import type { DesiredService } from '../../../engine/plan/desired-state.ts';
import { formatPlan } from '../../../engine/plan/plan.ts';
import { reconcile } from '../../../engine/plan/reconcile.ts';
import { desiredOf, needs, observedOf, projectOf, replicaOf } from '../support/project.ts';

const SHARES = { replica: 'shop-app-1', service: 'app' };
const IN_APP = { spec: { networks: [], shares: SHARES } };
const restarting = (service: string) => ({ [service]: { condition: 'service_started', required: true, restart: true } }) as const;
const pod = projectOf({
  db: {},
  app: { depends_on: restarting('db') },
  sidecar: { network_mode: 'service:app', networks: undefined as never, depends_on: needs('app') },
});
const planOf = (...args: Parameters<typeof reconcile>): string => formatPlan(reconcile(...args));

describe('services in the machine of another', () => {
  const running = observedOf([replicaOf('db'), replicaOf('app'), replicaOf('sidecar', IN_APP)]);

  test('one that is not named starts again with the machine that is replaced', () => {
    const desired = desiredOf(pod, { services: ['db', 'app'], hash: { app: 'new' } });
    expect(planOf(desired, running, { ...UP_DEFAULTS, services: ['app'] })).toBe(
      [
        '#1 stop shop-sidecar-1 (it shares the machine of shop-app-1)',
        '#2 stop shop-app-1 (its configuration changed) after #1',
        '#3 remove shop-app-1 keeping its anonymous volumes (its configuration changed) after #2',
        '#4 create shop-app-1 (its configuration changed) after #3',
        '#5 boot shop-app-1 (its configuration changed) after #4',
        '#6 await db service_started (app depends on it)',
        '#7 start shop-app-1 (its configuration changed) after #5 #6',
        '#8 boot shop-sidecar-1 (it shares the machine of shop-app-1) after #1 #7',
        '#9 await app service_started (sidecar depends on it) after #7',
        '#10 start shop-sidecar-1 (it shares the machine of shop-app-1) after #8 #9',
        '',
      ].join('\n'),
    );
  });

  test('and with a machine that starts again because a dependency is replaced', () => {
    const desired = desiredOf(pod, { services: ['db', 'app'], hash: { db: 'new' } });
    const plan = planOf(desired, running, { ...UP_DEFAULTS, services: ['app'] });
    expect(plan).toMatch(/stop shop-app-1 \(db is replaced and restarts its dependents\) after #\d+\n/);
    expect(plan).not.toContain('remove shop-app-1');
    expect(plan.split('\n').filter((line) => line.includes(' start shop-'))).toEqual([
      expect.stringContaining('start shop-db-1'),
      expect.stringContaining('start shop-app-1'),
      expect.stringContaining('start shop-sidecar-1'),
    ]);
  });

  test('but not when the machine goes for good', () => {
    const desired = desiredOf(pod, { services: ['db', 'app'], scale: { app: 0 } });
    expect(planOf(desired, running, { ...UP_DEFAULTS, services: ['app'] })).toBe(
      [
        '#1 stop shop-sidecar-1 (it shares the machine of shop-app-1)',
        '#2 stop shop-app-1 (scaled down to 0) after #1',
        '#3 remove shop-app-1 (scaled down to 0) after #2',
        '',
      ].join('\n'),
    );
  });

  test('scaling them down removes what would be replaced, and leaves the machine and what is up to date alone', () => {
    const desired = desiredOf(pod);
    const sidecar = { ...(desired.services.sidecar as DesiredService), shares: SHARES };
    const observed = observedOf([
      replicaOf('db'),
      replicaOf('app'),
      replicaOf('sidecar', { ...IN_APP, configHash: 'other' }),
      replicaOf('sidecar', { ...IN_APP, number: 2 }),
    ]);
    expect(planOf({ ...desired, services: { ...desired.services, sidecar } }, observed, UP_DEFAULTS)).toBe(
      ['#1 stop shop-sidecar-1 (scaled down to 1)', '#2 remove shop-sidecar-1 (scaled down to 1) after #1', ''].join('\n'),
    );
  });

  test('the machine starts after those are made that run in it, whatever their numbers', () => {
    const desired = desiredOf(pod);
    const sidecar = { ...(desired.services.sidecar as DesiredService), shares: SHARES };
    const observed = observedOf([replicaOf('db'), replicaOf('app'), replicaOf('sidecar', { ...IN_APP, number: 2, configHash: 'other' })]);
    const { nodes } = reconcile({ ...desired, services: { ...desired.services, sidecar } }, observed, UP_DEFAULTS);
    const find = (type: string, name: string) =>
      nodes.find(({ operation }) => operation.type === type && 'replica' in operation && operation.replica === name);
    expect(find('create', 'shop-sidecar-2')?.id).toBeGreaterThan(0);
    expect(find('boot', 'shop-app-1')?.after).toContain(find('create', 'shop-sidecar-2')?.id);
  });

  describe('whose service is gone from the file', () => {
    const without = projectOf({ db: {}, sidecar: {} });
    const removing = { ...UP_DEFAULTS, removeOrphans: true };

    test('leave it while another runs in its machine that the command is not about', () => {
      const plan = reconcile(desiredOf(without, { services: ['db'] }), running, { ...removing, services: ['db'] });
      expect(plan.nodes).toEqual([]);
      expect(plan.warnings).toEqual([
        'shop-app-1 is left: its machine runs shop-sidecar-1 too, which this command is not about. To remove it: up --remove-orphans sidecar',
      ]);
    });

    test('lose it once the other has a machine of its own', () => {
      const plan = planOf(desiredOf(without, { hash: { sidecar: 'new' } }), running, removing);
      expect(plan).toContain('remove shop-app-1 (its service is gone from the file)');
      expect(plan).toContain('create shop-sidecar-1');
      expect(plan).toContain('start shop-sidecar-1');
    });

    test('lose it with the others when those are gone, too', () => {
      const plan = planOf(desiredOf(projectOf({ db: {} })), running, removing);
      expect(plan.split('\n').filter((line) => line.includes(' remove '))).toEqual([
        expect.stringContaining('remove shop-app-1'),
        expect.stringContaining('remove shop-sidecar-1'),
      ]);
    });

    test('lose it when the other does not run', () => {
      const stopped = observedOf([replicaOf('db'), replicaOf('app'), replicaOf('sidecar', { ...IN_APP, state: 'exited' })]);
      expect(planOf(desiredOf(without, { services: ['db'] }), stopped, { ...removing, services: ['db'] })).toContain('remove shop-app-1');
    });
  });
});
