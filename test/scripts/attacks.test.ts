import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ATTACKS, formatMatrix, judge } from '../../scripts/attack/attacks.mjs';
import { formatPage } from '../../scripts/attack/page.mjs';
import { root } from '../../scripts/own-node.mjs';

const rows = [
  { attack: 'one', stoppedBy: 'a wall', file: 'a.test.ts', test: 'is stopped' },
  { attack: 'another', stoppedBy: 'a ditch', file: 'b.test.ts', test: 'falls in' },
];

/** A line with the title of a test, or of a case of one. */
const TITLE = /\b(?:it|test|describe)(?:\.\w+)?\(|^\s*(?:\]\)\()?\[?'/;

describe('the matrix of attacks', () => {
  it.each(ATTACKS.map(({ attack, file, test }) => [attack, file, test]))('has a test that tries: %s', (_, file, test) => {
    const titles = readFileSync(join(root, file), 'utf8')
      .split('\n')
      .filter((line) => TITLE.test(line));
    expect(titles.join('\n')).toContain(test);
    // A placeholder is filled in when the test runs, and then the row matches no name.
    expect(test).not.toMatch(/%|\$\{/);
  });

  it('is the page of docs that tells of it: npm run attack -- --page writes that', () => {
    expect(readFileSync(join(root, 'docs/attacks.md'), 'utf8')).toBe(formatPage(ATTACKS));
  });

  it('says which attack was refused, which succeeded and which was not tried', () => {
    const outcome = (file: string, name: string, status: string) => ({ file, name, status });
    const judged = judge(rows, [outcome('a.test.ts', 'x is stopped here', 'passed'), outcome('b.test.ts', 'x is stopped', 'passed')]);
    expect(judged.map(({ verdict }) => verdict)).toEqual(['refused', 'not tried']);
    const failed = judge(rows, [
      outcome('a.test.ts', 'is stopped once', 'passed'),
      outcome('a.test.ts', 'is stopped twice', 'failed'),
      outcome('b.test.ts', 'falls in', 'skipped'),
    ]);
    expect(failed.map(({ verdict }) => verdict)).toEqual(['SUCCEEDED', 'not tried']);
    expect(formatMatrix(failed)).toBe(
      'ATTACK   WHAT STOPS IT  VERDICT\none      a wall         SUCCEEDED\nanother  a ditch        not tried\n',
    );
  });
});
