import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { expandWord, expandWords } from '../../../builder/dockerfile/expand.ts';
import type { RawInstruction } from '../../../builder/dockerfile/instruction.ts';
import { lexDockerfile } from '../../../builder/dockerfile/lex.ts';
import { parseDockerfile } from '../../../builder/dockerfile/parse.ts';
import { onlyWhere } from '../../support/needs.ts';
import { DOCKERFILES, hasConformance } from './conformance.ts';

const noConformance = !hasConformance && "BuildKit's test data is not in ../shared";

const GO_ESCAPES: Record<string, string> = {
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\0': '\\x00',
  '"': '\\"',
  '\\': '\\\\',
};
const quote = (text: string) => `"${text.replace(/[\b\f\n\r\t\0"\\]/g, (ch) => GO_ESCAPES[ch] ?? ch)}"`;

const dump = (raw: RawInstruction): string => {
  const flags = raw.flags.length > 0 ? ` [${raw.flags.map(quote).join(' ')}]` : '';
  if (raw.trigger) {
    return `(${raw.keyword}${flags} ${dump(raw.trigger)})`;
  }
  const pairs = raw.pairs.flatMap(({ name, value, legacy }) => [name, value, legacy ? '' : '=']);
  const args = (raw.pairs.length > 0 ? pairs : raw.args).map((arg) => ` ${quote(arg)}`).join('');
  return `(${raw.keyword}${flags}${args})`;
};

const folders = (name: string) => (hasConformance ? readdirSync(join(DOCKERFILES, 'parser', name)) : []);
const read = (...parts: string[]) => readFileSync(join(DOCKERFILES, ...parts), 'utf8');

onlyWhere(noConformance).describe('BuildKit parser files', () => {
  it.each(folders('testfiles'))('%s', (name) => {
    const { instructions } = lexDockerfile(read('parser/testfiles', name, 'Dockerfile'), 'Dockerfile');
    expect(instructions.map(dump).join('\n').trim()).toBe(read('parser/testfiles', name, 'result').trim());
  });

  it.each(folders('testfiles-negative'))('refuses %s', (name) => {
    expect(() => parseDockerfile(read('parser/testfiles-negative', name, 'Dockerfile'), 'Dockerfile')).toThrow(
      /dockerfile parse error on line/,
    );
  });
});

onlyWhere(noConformance).describe('BuildKit shell tables', () => {
  const env: Record<string, string> = { PWD: '/home', SHELL: 'bash', KOREAN: '한국어', NULL: '' };
  const rows = hasConformance
    ? read('shell/envVarTest')
        .split('\n')
        .filter((line) => /^[AU]\|/.test(line))
        .map((line) =>
          line
            .split('|')
            .slice(1)
            .map((part) => part.trim()),
        )
    : [];

  it('has the table', () => expect(rows.length).toBeGreaterThan(200));

  it.each(rows)('%s → %s', (source = '', expected = '') => {
    const run = () => expandWord(source, (name) => env[name]);
    if (expected === 'error') {
      expect(run).toThrow();
    } else {
      expect(run()).toBe(expected);
    }
  });

  it('splits words', () => {
    const variables: Record<string, string> = {};
    let cases = 0;
    for (const line of read('shell/wordsTest').split('\n')) {
      const assignment = /^ENV ([^=]+)=(.*)$/.exec(line);
      if (assignment) {
        variables[assignment[1] ?? ''] = assignment[2] ?? '';
      } else if (line.includes('|')) {
        const [source = '', expected = ''] = line.split(' | ');
        cases++;
        const run = () => expandWords(source.trim(), (name) => variables[name]);
        if (expected.trim() === 'error') {
          expect(run, line).toThrow();
        } else {
          expect(run(), line).toEqual(expected.trimStart().split(','));
        }
      }
    }
    expect(cases).toBeGreaterThan(20);
  });
});
