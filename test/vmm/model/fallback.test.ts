import { expect, test } from 'vitest';
import { type FailedStep, fallbackAfter, type Start, startOf } from '../../../vmm/model/fallback.ts';

test.each<[Start, FailedStep, Start | undefined]>([
  ['rooted-clone', 'create', 'clone'],
  ['rooted-clone', 'answer', 'boot'],
  ['rooted-clone', 'prepare', 'clone'],
  ['clone', 'create', 'boot'],
  ['clone', 'answer', 'boot'],
  ['clone', 'prepare', undefined],
  ['boot', 'create', undefined],
  ['boot', 'answer', undefined],
  ['boot', 'prepare', undefined],
])('fallback › after a %s that failed to %s the next start is %s', (start, failed, next) => {
  expect(fallbackAfter(start, failed)).toBe(next);
});

test('fallback › ends after at most three starts, whatever fails', () => {
  const steps: FailedStep[] = ['create', 'answer', 'prepare'];
  const depth = (start: Start | undefined): number =>
    start === undefined ? 0 : 1 + Math.max(...steps.map((step) => depth(fallbackAfter(start, step))));
  expect(depth('rooted-clone')).toBe(3);
});

test('startOf › says how a machine came to be', () => {
  expect([startOf({ layout: 'cold' }), startOf({ layout: 'clone' }), startOf({ layout: 'clone', rooted: true })]).toEqual([
    'boot',
    'clone',
    'rooted-clone',
  ]);
});
