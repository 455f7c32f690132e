import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPackageIndex, resolveClosure } from '../../../vmm/archive/package-index.ts';
import { parseParagraph } from '../../../vmm/archive/paragraphs.ts';
import { compareVersions, parseRelations, satisfies } from '../../../vmm/archive/relations.ts';
import { runs } from '../../support/seed.ts';

async function* inPieces(text: string, size: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) {
    yield bytes.subarray(at, at + size);
  }
}

const entry = (name: string, version: string, fields = '') =>
  `Package: ${name}\nVersion: ${version}\nArchitecture: all\n${fields}Filename: pool/${name}.deb\nSize: 5\nSHA256: ${'a'.repeat(64)}\n`;

const closure = async (entries: readonly string[], ...names: string[]) =>
  resolveClosure(await readPackageIndex(inPieces(entries.join('\n'), 7)), names).map(({ name, version }) => `${name} ${version}`);

describe('versions', () => {
  it.each([
    ['1.0~rc1', '1.0'],
    ['1.0', '1.0-1'],
    ['1.9', '1.10'],
    ['2.0', '1:1.0'],
    ['1.0+dfsg', '1.0+ds'],
    ['1.0a', '1.0+'],
    ['1.0~', '1.0'],
    ['1.0-1~deb13u1', '1.0-1'],
    ['1.0-1', '1.0-1+b1'],
  ])('%s is before %s', (a, b) => {
    expect(compareVersions(a, b)).toBeLessThan(0);
    expect(compareVersions(b, a)).toBeGreaterThan(0);
  });

  it('are in one order', () => {
    const version = fc.stringMatching(/^([0-9]:)?[0-9][0-9a-z.+~]{0,6}(-[0-9a-z.+~]{1,4})?$/);
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        expect(Math.sign(compareVersions(a, b))).toBe(-Math.sign(compareVersions(b, a)) || 0);
        const [first = '', second = '', third = ''] = [a, b, c].sort(compareVersions);
        expect(compareVersions(first, second) <= 0 && compareVersions(second, third) <= 0 && compareVersions(first, third) <= 0).toBe(true);
      }),
      runs(300),
    );
  });

  it('hold against relations', () => {
    const [group = []] = parseRelations('a (>= 2.0~), b:any (<< 3) | c');
    expect(group).toEqual([{ name: 'a', relation: '>=', version: '2.0~' }]);
    expect(parseRelations('a (>= 2.0~), b:any (<< 3) | c')[1]).toEqual([{ name: 'b', relation: '<<', version: '3' }, { name: 'c' }]);
    expect(satisfies('2.0~rc1', { name: 'a', relation: '>=', version: '2.0~' })).toBe(true);
    expect(satisfies('1.9', { name: 'a', relation: '>=', version: '2.0~' })).toBe(false);
  });
});

describe('the closure', () => {
  it('takes the newest version, the first alternative, and what is there already', async () => {
    const entries = [
      entry('app', '1', 'Depends: b | c, d | c\n'),
      entry('app', '2', 'Depends: x (>= 9) | c, d | c\n'),
      ...['b', 'c', 'd'].map((name) => entry(name, '1')),
      entry('x', '8'),
    ];
    expect(await closure(entries, 'app')).toEqual(['app 2', 'c 1']);
  });

  it('finds providers, with versions only where a version is asked for', async () => {
    const entries = [
      entry('app', '1', 'Depends: virtual, versioned (>= 2)\n'),
      entry('old', '1', 'Provides: virtual, versioned\n'),
      entry('new', '1', 'Provides: versioned (= 3)\n'),
    ];
    expect(await closure(entries, 'app')).toEqual(['app 1', 'new 1', 'old 1']);
  });

  it('ends in circles, and says what cannot be had', async () => {
    expect(await closure([entry('a', '1', 'Depends: b\n'), entry('b', '1', 'Depends: a\n')], 'a')).toEqual(['a 1', 'b 1']);
    await expect(closure([entry('a', '1', 'Depends: b | c\n')], 'a')).rejects.toMatchObject({ message: expect.stringContaining('b or c') });
  });

  it('leaves out entries that lead elsewhere', async () => {
    const evil = entry('a', '9').replace('pool/a.deb', '../../etc/passwd');
    expect(await closure([entry('a', '1'), evil, entry('b', '1').replace('a'.repeat(64), 'none')], 'a')).toEqual(['a 1']);
  });
});

it('reads continued fields', () => {
  expect(parseParagraph('A: 1\nSHA256:\n abc 1 x\n\tdef 2 y\nB:2')).toEqual({ A: '1', SHA256: '\n abc 1 x\n\tdef 2 y', B: '2' });
});
