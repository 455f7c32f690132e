import { expect, test } from 'vitest';
import { matchesName } from '../../../engine/docker/http/filters.ts';

test.each([
  ['eb', true],
  ['', true],
  ['^web', true],
  ['^we', true],
  ['^eb', false],
  ['web-1$', true],
  ['web$', false],
  ['^web-1$', true],
  ['^web$', false],
  ['/web', true],
  ['/eb', false],
  ['^/web-1$', true],
  ['^/?web-1$', true],
  ['w.b', false],
])('the filter name=%s is about pieces of a name', (wanted, found) => {
  expect(matchesName('web-1', wanted)).toBe(found);
});

test('a regular expression is refused rather than run', () => {
  for (const wanted of ['(a+)+$', '^(web|db)$', 'web.*', '[', `${'a'.repeat(100_000)}!`]) {
    expect(() => matchesName('a'.repeat(60), wanted), wanted.slice(0, 20)).toThrow(/invalid filter 'name'/);
  }
});
