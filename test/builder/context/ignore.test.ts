import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileGlob, PatternFault } from '../../../builder/context/glob.ts';
import { parseIgnoreFile, parsePatterns } from '../../../builder/context/ignore.ts';
import { runs } from '../../support/seed.ts';

describe('filepath.Match', () => {
  it.each([
    ['abc', 'abc', true],
    ['*', 'abc', true],
    ['*c', 'abc', true],
    ['a*', 'ab/c', false],
    ['a*/b', 'abc/b', true],
    ['a*/b', 'a/c/b', false],
    ['a*b*c*d*e*/f', 'axbxcxdxexxx/f', true],
    ['a*b*c*d*e*/f', 'axbxcxdxexxx/fff', false],
    ['a*b?c*x', 'abxbbxdbxebxczzy', false],
    ['ab[c]', 'abc', true],
    ['ab[b-d]', 'abc', true],
    ['ab[e-g]', 'abc', false],
    ['ab[^c]', 'abc', false],
    ['ab[^e-g]', 'abc', true],
    ['a\\*b', 'a*b', true],
    ['a\\*b', 'ab', false],
    ['a?b', 'a☺b', true],
    ['a[^a]b', 'a☺b', true],
    ['a???b', 'a☺b', false],
    ['[a-ζ]*', 'α', true],
    ['a?b', 'a/b', false],
    ['a*b', 'a/b', false],
    ['[\\]a]', ']', true],
    ['[\\-x]', '-', true],
    ['[x\\-]', 'z', false],
    ['*x', 'xxx', true],
  ])('%s on %s', (pattern, path, expected) => {
    expect(compileGlob(pattern, { globstar: false }).matches(path)).toBe(expected);
  });

  it.each(['[]a]', '[-]', '[x-]', '[-x]', '[a-b-c]', '[', '[^', '[^bc', 'a[', 'a\\'])('refuses %s', (pattern) => {
    expect(() => compileGlob(pattern, { globstar: false })).toThrow(PatternFault);
  });

  it('is quick for hostile patterns', () => {
    const glob = compileGlob(`${'a*'.repeat(200)}b`, { globstar: false });
    expect(glob.matches('a'.repeat(2000))).toBe(false);
  });
});

describe('.dockerignore', () => {
  const cases: Array<[string, string, boolean]> = [
    ['**', 'file', true],
    ['**', 'dir/file', true],
    ['**/', 'dir/file', true],
    ['**/**', 'dir/file', true],
    ['dir/**', 'dir/file', true],
    ['dir/**', 'dir', false],
    ['dir/**', 'dir/dir2/file/', true],
    ['**/dir2/*', 'dir/dir2/file', true],
    ['**/dir2/*', 'dir/dir2/dir2/file', true],
    ['**file', 'file', true],
    ['**file', 'dir/file', true],
    ['**/file', 'dir/dir/file', true],
    ['**/file', 'file', true],
    ['**/file*', 'dir/dir/file.txt', true],
    ['**/**/*.txt', 'dir/dir/file.txt', true],
    ['a**/*.txt', 'a/file.txt', true],
    ['a**/*.txt', 'a/dir/file.txt', true],
    ['a/*.txt', 'a/dir/file.txt', false],
    ['a/**/*.txt', 'a/file.txt', true],
    ['a[b-d]e', 'ace', true],
    ['.*', '.foo', true],
    ['.*', 'foo', false],
    ['abc.def', 'abcXdef', false],
    ['a+b', 'a+b', true],
    ['(a)', '(a)', true],
    ['A', 'a', false],
    ['dir', 'dir/deep/file', true],
    ['file', 'dir/file', false],
    ['/dir/', 'dir/file', true],
    ['./dir/../other', 'other', true],
    ['a\\*', 'a*', true],
    ['a\\*', 'ab', false],
    ['ba*\n!bay', 'bay', false],
    ['ba*\n!bay', 'bar', true],
    ['docs\n!docs/README.md', 'docs/README.md', false],
    ['docs\n!docs/README.md', 'docs/x', true],
    ['*\n!a\na/b', 'a/b/c', true],
    ['*\n!a\na/b', 'a/c', false],
    ['!x\nx', 'x', true],
    ['# comment\n  \n  x  ', 'x', true],
    [' # not', '# not', true],
    ['\ufeffx', 'x', true],
    ['x\r', 'x', true],
  ];
  it.each(cases)('%j on %s', (text, path, expected) => {
    expect(parseIgnoreFile(text, '.dockerignore').excludes(path.replace(/\/$/, ''))).toBe(expected);
  });

  it('refuses a bare exclamation mark and bad classes, with the line', () => {
    expect(() => parseIgnoreFile('a\n!', 'f')).toThrow('illegal exclusion pattern: "!"');
    expect(() => parseIgnoreFile('a\nb[', 'f')).toThrow(
      expect.objectContaining({ code: 'DOCKERFILE_SYNTAX', where: { file: 'f', line: 2 } }),
    );
  });

  it('knows where negations may reach', () => {
    const rules = parseIgnoreFile('*\n!a/b/c\n', 'f');
    expect([rules.mayIncludeBelow('a'), rules.mayIncludeBelow('a/b'), rules.mayIncludeBelow('b')]).toEqual([true, true, false]);
    expect(parseIgnoreFile('*\n!**/x', 'f').mayIncludeBelow('any')).toBe(true);
  });

  // Reports about BuildKit's check: moby/moby 52125, moby/buildkit 6512, 6926 and 7125.
  it('knows of what nothing is left', () => {
    const left = (text: string, path: string) => !parseIgnoreFile(text, 'f').excludesAll(path);
    expect([left('*\n!sub/file', 'sub'), left('*\n!*.go', ''), left('.*\n', ''), left('', '')]).toEqual([true, true, true, true]);
    expect([left('*\n!sub/file', 'other'), left('secret\n!docs', 'secret'), left('*\n', ''), left('*\n', 'sub')]).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });

  const path = fc.stringMatching(/^[ab.]{1,3}(\/[ab.]{1,3}){0,3}$/).filter((text) => !/(^|\/)\.{1,2}(\/|$)/.test(text));
  const pattern = fc.stringMatching(/^!?[ab*?./[\]^\\-]{1,8}$/);

  it('takes or refuses anything, never hangs', () => {
    fc.assert(
      fc.property(fc.array(pattern, { maxLength: 6 }), path, (patterns, name) => {
        try {
          expect(typeof parsePatterns(patterns, { file: 'f', line: 1 }).excludes(name)).toBe('boolean');
        } catch (error) {
          expect(error).toMatchObject({ code: 'DOCKERFILE_SYNTAX' });
        }
      }),
      runs(1500),
    );
  });

  it('says what an excluded folder says about its content, without negations', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[ab*?/]{1,5}$/), { maxLength: 4 }), path, (patterns, name) => {
        const rules = parsePatterns(patterns, { file: 'f', line: 1 });
        const folder = name.includes('/') ? name.slice(0, name.lastIndexOf('/')) : name;
        expect(!rules.excludes(folder) || rules.excludes(`${folder}/x`)).toBe(true);
      }),
      runs(1000),
    );
  });
});
