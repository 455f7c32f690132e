import { expect, test } from 'vitest';
import { compilePattern } from '../../../base/pattern/compile.ts';

test.each([
  ['(?i)WEB', 'my-web-1', true],
  ['(?i:A)B', 'ab', false],
  ['^(?:web|db)_[0-9]+$', 'db_12', true],
  ['^a{2,3}$', 'aaaa', false],
  ['a{,3}', 'a{,3}', true],
  ['[[:digit:]]', 'a1', true],
  ['[^a]', 'a', false],
  ['[]a]', ']', true],
  ['a|', 'zz', true],
  ['(?P<n>a)+?b', 'aab', true],
  ['\\.', 'ab', false],
  ['\\bweb\\b', 'a web b', true],
  ['(?s)a.b', 'a\nb', true],
  ['a.b', 'a\nb', false],
  ['(?m)^b$', 'a\nb', true],
  ['', '', true],
])('the pattern %j in %j', (pattern, text, found) => {
  expect(compilePattern(pattern)(text)).toBe(found);
});

// What Go 1.24's regexp.Compile says.
test.each([
  ['[a-', 'missing closing ]: `[a-`'],
  ['(', 'missing closing ): `(`'],
  ['a)', 'unexpected ): `a)`'],
  ['*', 'missing argument to repetition operator: `*`'],
  ['a**', 'invalid nested repetition operator: `**`'],
  ['a{1001}', 'invalid repeat count: `{1001}`'],
  ['(?=a)', 'invalid or unsupported Perl syntax: `(?=`'],
  ['\\8', 'invalid escape sequence: `\\8`'],
  ['[b-a]', 'invalid character class range: `b-a`'],
])('the pattern %j is refused as Go refuses it', (pattern, reason) => {
  expect(() => compilePattern(pattern)).toThrow(`error parsing regexp: ${reason}`);
});
