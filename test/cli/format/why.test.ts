import { describe, expect, test } from 'vitest';
import { exitReason } from '../../../cli/format/exit-reason.ts';
import { explainService, isReady, type WhyInput } from '../../../cli/format/why.ts';
import type { ReplicaStatus } from '../../../engine/model/events.ts';
import { log, NOW, replica } from '../support/fake-engine.ts';

const why = (replicas: readonly ReplicaStatus[], extra: Partial<WhyInput> = {}): string[] =>
  explainService({ service: 'web', model: undefined, isDisabled: false, replicas, plan: [], lines: [], now: NOW, ...extra });

describe('why a service is as it is', () => {
  test('it waits for another one, and that is named with its state', () => {
    const model = { depends_on: { db: { condition: 'service_healthy' as const, required: true } } };
    const db = replica({ service: 'db', health: 'starting' });
    expect(why([replica({ service: 'web', state: 'created' }), db], { model })).toEqual([
      'shop-web-1: exists and was not started',
      '  waits for db (healthy): shop-db-1 is running, not checked well yet; hypr why db',
    ]);
    expect(why([replica({ service: 'web', state: 'starting' })], { model })[1]).toBe('  waits for db (healthy), which does not exist yet');
  });

  test('it ended: code, signal, last lines, and that nothing starts it again', () => {
    const ended = replica({ service: 'web', state: 'exited', exitCode: 139, finishedAt: NOW - 5000 });
    const lines = [log('web', 'loading'), log('web', 'boom \u001b[2J', { stream: 'stderr' })];
    expect(why([ended], { lines, plan: ['#4 boot shop-web-1 (it does not run)'] })).toEqual([
      'shop-web-1: ended with 139 5 seconds ago',
      '  ended by SIGSEGV: a bad access to memory, a mistake of the program',
      '  restart: no: it is not started again by itself',
      '  the next up would:',
      '    #4 boot shop-web-1 (it does not run)',
      '  its last lines:',
      '      loading',
      '    ! boom ',
    ]);
  });

  test('out of memory names the limit and what to change', () => {
    const model = { deploy: { resources: { limits: { memory: '64m' } } } };
    const killed = replica({ service: 'web', state: 'exited', exitCode: 137, oomKilled: true, reason: 'out of memory' });
    expect(why([killed], { model })[1]).toBe('  the kernel killed it: out of memory (its limit is 64m)');
  });

  test('a missing program is named', () => {
    const missing = replica({ service: 'web', state: 'exited', exitCode: 127, command: ['serve', '--now'] });
    expect(why([missing])).toContain('  its program: serve --now');
  });

  test('a crash loop has its count and the last code', () => {
    expect(why([replica({ service: 'web', state: 'restarting', restarts: 9, exitCode: 3 })])[0]).toBe(
      'shop-web-1: is started again and again: 9 restarts, last exit code 3',
    );
  });

  test('unhealthy: what the probe said, and what is asked', () => {
    const model = { healthcheck: { test: ['CMD', 'pg_isready'], interval: '5s', retries: 2 } };
    const sick = replica({ service: 'web', health: 'unhealthy', reason: 'health check: no answer' });
    expect(why([sick], { model })).toEqual([
      'shop-web-1: runs for 2 seconds, unhealthy',
      '  health check: no answer',
      '  checked by: CMD pg_isready, every 5s, unhealthy after 2 failures',
    ]);
  });

  test('a published port that nothing listens on, or only on loopback', () => {
    const ports = [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, port: 80 } as const];
    const at = (listeners: ReplicaStatus['listeners'] & {}) => why([replica({ service: 'web', ports, listeners })])[1];
    expect(at([{ port: 3000, address: '0.0.0.0' }])).toBe('  nothing listens on port 80, which is published as 8080; it listens on: 3000');
    expect(at([{ port: 80, address: '127.0.0.1' }])).toContain('listened on at 127.0.0.1 only');
    expect(at([{ port: 80, address: '0.0.0.0' }])).toBeUndefined();
  });

  test('one that does not exist: of a profile, of scale 0, or never started', () => {
    expect(why([], { isDisabled: true, model: { profiles: ['debug'] } })[1]).toBe('  fix: hypr --profile debug up');
    expect(why([], { model: { scale: 0 } })[0]).toBe('web has no replica: its scale is 0');
    expect(why([])).toEqual(['web was never started, or was removed', '  fix: hypr up -d web']);
  });

  test('what is ready', () => {
    expect(isReady(replica({ service: 'web' }))).toBe(true);
    expect(isReady(replica({ service: 'web', health: 'starting' }))).toBe(false);
    expect(isReady(replica({ service: 'web', state: 'exited' }))).toBe(true);
    expect(isReady(replica({ service: 'web', state: 'exited', exitCode: 1 }))).toBe(false);
  });
});

test.each([
  [1, undefined],
  [126, 'executed'],
  [143, 'SIGTERM'],
  [255, undefined],
])('exit code %i', (code, words) => {
  const reason = exitReason(code);
  expect(words === undefined ? reason : reason?.includes(words)).toBe(words === undefined ? undefined : true);
});
