import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { isGitContext, isGitSource, parseGitSource, resolveSubmodule } from '../../../builder/git/git-url.ts';
import { runs } from '../../support/seed.ts';

describe('git sources', () => {
  it.each([
    ['https://h/u/r.git', true],
    ['https://h/u/r.git#main:sub', true],
    ['https://h/u/r.git?branch=x', true],
    ['https://h/u/r', false],
    ['https://h/x?file=a.git', false],
    ['http://h/a.tar.gz', false],
    ['git@h:u/r', true],
    ['other.user@h:u/r', true],
    ['git://h/r', true],
    ['ssh://git@h:22/r', true],
    ['github.com/u/r', false],
    ['./a.git', false],
    ['C:/x.git', false],
  ])('%s: %s', (text, isGit) => {
    expect(isGitSource(text)).toBe(isGit);
    expect(isGitContext(text)).toBe(isGit || text.startsWith('github.com/'));
  });

  it.each([
    ['https://h/r.git', { remote: 'https://h/r.git', ref: undefined, subdir: '', submodules: true }],
    ['https://h/r.git#main:a/b', { ref: 'main', subdir: 'a/b' }],
    ['https://h/r.git#:a/../../b/', { ref: undefined, subdir: 'b' }],
    ['git@h:u/r.git#v1', { remote: 'git@h:u/r.git', ref: 'v1' }],
    ['github.com/u/r#v1', { remote: 'https://github.com/u/r', ref: 'v1' }],
    ['https://h/r.git?branch=b&subdir=/s', { remote: 'https://h/r.git', ref: 'refs/heads/b', subdir: 's' }],
    ['https://h/r.git?tag=t&keep-git-dir&submodules=false', { ref: 'refs/tags/t', keepGitDir: true, submodules: false }],
    ['https://h/r.git?ref=x&checksum=0123456789', { ref: 'x', checksum: '0123456789' }],
    ['https://u:p%40@h/r.git', { remote: 'https://h/r.git', credentials: 'u:p@' }],
  ])('%s', (text, expected) => {
    expect(parseGitSource(text)).toMatchObject(expected);
  });

  it.each([
    ['https://h/r.git?branch=a&tag=b', 'ref conflicts'],
    ['https://h/r.git?ref=a#b', 'ref conflicts'],
    ['https://h/r.git?what=1', 'unexpected query "what"'],
    ['https://h/r.git?submodules=maybe', 'invalid submodules value'],
    ['https://h/r.git?checksum=xyz', 'invalid checksum'],
    ['https://h/r.git#--upload-pack=x', 'cannot be a git ref'],
    ['ssh://-oProxyCommand=x/r', 'names no host'],
    ['-u@h:x', 'is not the URL of a git repository'],
    ['/etc', 'is not the URL of a git repository'],
    ['ext::sh -c id', 'is not the URL of a git repository'],
  ])('refuses %s', (text, message) => {
    expect(() => parseGitSource(text)).toThrow(message);
  });

  it('resolves relative submodules', () => {
    expect(resolveSubmodule('https://h/u/r.git', '../s.git')).toBe('https://h/u/s.git');
    expect(resolveSubmodule('git@h:u/r.git', '../s.git')).toBe('git@h:u/s.git');
    expect(resolveSubmodule('https://h/r.git', '../../../s.git')).toBe('https://h/s.git');
    expect(resolveSubmodule('https://h/r.git', 'https://o/s.git')).toBe('https://o/s.git');
  });

  it('understands or refuses whatever it gets, and never leaves the tree or becomes an option', () => {
    const part = fc.constantFrom(
      'https://',
      'git@',
      'h',
      ':',
      '/',
      '.git',
      '#',
      '?',
      '&',
      'ref=',
      '-',
      '..',
      '%',
      'ssh://',
      '@',
      '\n',
      'subdir=',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(part, fc.string({ maxLength: 3 })), { maxLength: 12 }), (parts) => {
        try {
          const { remote, subdir, ref } = parseGitSource(parts.join(''));
          expect(remote.startsWith('-')).toBe(false);
          expect(ref?.startsWith('-') ?? false).toBe(false);
          expect(subdir.split('/')).not.toContain('..');
        } catch (error) {
          expect(error).toBeInstanceOf(HyprError);
        }
      }),
      runs(2000),
    );
  });
});
