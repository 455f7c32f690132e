import { describe, expect, test } from 'vitest';
import { nextHealth } from '../../../engine/machine/health.ts';
import { nextState } from '../../../engine/model/lifecycle.ts';
import type { HealthSpec, RestartPolicy } from '../../../engine/model/spec.ts';
import { decideRestart } from '../../../engine/replica/parts/restart-policy.ts';

describe('restart policies', () => {
  const policy = (condition: RestartPolicy['condition'], maxAttempts = 0): RestartPolicy => ({ condition, maxAttempts, delay: 100 });
  const end = { exitCode: 1, restarts: 0, stoppedByUser: false, ranFor: 500 };

  test.each([
    ['no', 1, false],
    ['always', 0, true],
    ['always', 1, true],
    ['on-failure', 0, false],
    ['on-failure', 1, true],
    ['unless-stopped', 0, true],
  ] as const)('%s after exit code %i: %s', (condition, exitCode, expected) => {
    expect(decideRestart(policy(condition), { ...end, exitCode }).restart).toBe(expected);
  });

  test('what a person stopped stays stopped', () => {
    expect(decideRestart(policy('always'), { ...end, stoppedByUser: true })).toEqual({ restart: false });
  });

  test('the pause doubles up to a minute, and a good run forgives', () => {
    const delays = [0, 1, 2, 20].map((restarts) => decideRestart(policy('always'), { ...end, restarts }));
    expect(delays.map((decision) => decision.restart && decision.delay)).toEqual([100, 200, 400, 60_000]);
    expect(decideRestart(policy('always'), { ...end, restarts: 20, ranFor: 10_000 })).toMatchObject({ delay: 100, restarts: 1 });
  });

  test('on-failure:2 gives up after two', () => {
    expect(decideRestart(policy('on-failure', 2), { ...end, restarts: 1 }).restart).toBe(true);
    expect(decideRestart(policy('on-failure', 2), { ...end, restarts: 2 }).restart).toBe(false);
  });
});

describe('health', () => {
  const spec: HealthSpec = { args: ['true'], interval: 1, timeout: 1, startPeriod: 0, startInterval: 1, retries: 2 };
  const starting = { health: 'starting', failures: 0 } as const;

  test('one success is healthy, at any time', () => {
    expect(nextHealth(spec, starting, { ok: true, counts: false })).toEqual({ health: 'healthy', failures: 0 });
  });

  test('retries failures in a row are unhealthy; early ones do not count', () => {
    const early = nextHealth(spec, starting, { ok: false, counts: false });
    const once = nextHealth(spec, early, { ok: false, counts: true });
    expect([early.health, once.health, nextHealth(spec, once, { ok: false, counts: true }).health]).toEqual([
      'starting',
      'starting',
      'unhealthy',
    ]);
  });

  test('a success forgets the failures before it', () => {
    const once = nextHealth(spec, { health: 'healthy', failures: 0 }, { ok: false, counts: true });
    expect(nextHealth(spec, once, { ok: true, counts: true }).failures).toBe(0);
  });
});

describe('lifecycle', () => {
  test('goes from created to exited by boot, start and end', () => {
    expect(nextState(nextState(nextState('created', 'boot'), 'started'), 'exit')).toBe('exited');
  });

  test('throws a mistake of ours when a change cannot happen', () => {
    expect(() => nextState('exited', 'pause')).toThrow('a replica that is exited cannot pause');
  });
});
