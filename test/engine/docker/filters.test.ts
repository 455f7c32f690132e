import { expect, test } from 'vitest';
import { compileFilters, matchesGlob, nameJudge } from '../../../engine/docker/http/filters.ts';
import { Query } from '../../../engine/docker/http/query.ts';

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
  ['w.b', true],
  ['^/?(web|db)-[0-9]$', true],
  ['(?i)WEB', true],
  ['web.*2', false],
  ['^(a|b)', false],
])('the filter name=%s is a pattern, as in docker', (wanted, found) => {
  expect(named(wanted)('web-1')).toBe(found);
});

/** The filter `name`. */
const named = (wanted: string): ((name: string) => boolean) => compileFilters(queryOf(wanted), { name: nameJudge((name: string) => name) });

const queryOf = (wanted: string): Query => new Query(new URLSearchParams({ filters: JSON.stringify({ name: [wanted] }) }));

test('a pattern that means nothing is refused before anything is looked at', () => {
  for (const wanted of ['[', '(', '*', 'a**', '(?=a)', '\\8', '((a{1000}){1000}){1000}', `${'a'.repeat(100_000)}`, '('.repeat(50_000)]) {
    expect(() => named(wanted), wanted.slice(0, 20)).toThrow(/invalid filter 'name': error parsing regexp/);
  }
});

test('no pattern takes for ever', () => {
  for (const wanted of ['(a+)+$', '(a*)*b', '(a|a|aa)+$', '(.*a){12}b', '^(([a-z])+.)+[A-Z]([a-z])+$']) {
    expect(named(wanted)(`${'a'.repeat(2_000)}!`), wanted).toBe(false);
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
