import { expect, test } from 'vitest';
import { formatStatus, psState } from '../../../engine/docker/shapes/status.ts';
import { NOW, replica } from '../support/fake-engine.ts';

test('a replica that its restart policy starts again is restarting, as docker has it', () => {
  const again = replica({ service: 'web', state: 'starting', restarts: 2, exitCode: 4, finishedAt: NOW - 3000 });
  expect(psState(again)).toBe('restarting');
  expect(formatStatus(again, NOW)).toBe('Restarting (4) 3 seconds ago');
  const first = replica({ service: 'web', state: 'starting' });
  expect([psState(first), formatStatus(first, NOW)]).toEqual(['created', 'Starting']);
});
