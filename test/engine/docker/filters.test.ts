import { expect, test } from 'vitest';
import { matchesGlob, matchesName } from '../../../engine/docker/http/filters.ts';

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

test.each([
  ['nginx', 'nginx', true],
  ['nginx', 'ngin', false],
  ['nginx:1.26', 'nginx:*', true],
  ['nginx:1.26', '*:1*6', true],
  ['nginx', '*', true],
  ['me/nginx', '*', false],
  ['me/nginx', '*/n*x', true],
  ['aa', 'aa*a', false],
  ['aba', 'a*b*a', true],
  ['n.x', 'n?x', false],
])('the image %s and the reference %s', (name, wanted, found) => {
  expect(matchesGlob(name, wanted)).toBe(found);
});

test('many stars take no time', () => {
  const begin = performance.now();
  expect(matchesGlob('a'.repeat(200), `${'*a'.repeat(40)}*b`)).toBe(false);
  expect(performance.now() - begin).toBeLessThan(1_000);
});
