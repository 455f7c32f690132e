import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HyprError } from '../../base/errors.ts';
import { formatProjectYaml } from '../../compose/config/render.ts';
import { loadProject } from '../../compose/index.ts';
import { SourceFile } from '../../compose/source/source.ts';
import { readFully } from '../../compose/yaml/full.ts';
import { readQuickly } from '../../compose/yaml/quick.ts';
import { runs } from '../support/seed.ts';

/** Small nasty files: each is about one corner of YAML or of the Compose format. */
const folder = join(import.meta.dirname, 'corpus');
const corpus = readdirSync(folder)
  .sort()
  .map((name) => ({ name, bytes: readFileSync(join(folder, name)) }));
const texts = corpus.map(({ bytes }) => bytes.toString('utf8'));

/** What `config` comes to: the text it prints, or the code of its error; all other errors are ours. */
const outcomeOf = async (bytes: Uint8Array): Promise<string> => {
  const options = { cwd: tmpdir(), env: { HOME: '/home/u', A: 'a' }, files: ['-'], projectName: 'p', resolveEnv: false };
  try {
    const { project } = await loadProject({ ...options, stdin: () => Promise.resolve(bytes) });
    return formatProjectYaml(project);
  } catch (error) {
    if (error instanceof HyprError && error.code.startsWith('COMPOSE_')) {
      return error.code;
    }
    throw error;
  }
};

/** The library names the tags that it found by itself. */
const comparable = (syntax: unknown): string =>
  JSON.stringify(syntax, (key, value: unknown) => (key === 'tag' && String(value).startsWith('tag:yaml.org') ? undefined : value));

/** Whether the quick reader took the text; fails if the full one, which it then stands for, reads something else. */
const comparesWell = (text: string): boolean => {
  const quick = readQuickly(text);
  if (quick === undefined) {
    return false;
  }
  const [full, ...more] = [...readFully(new SourceFile('f', text))];
  if (more.length > 0 || comparable(quick) !== comparable(full)) {
    expect({ text, read: quick }).toEqual({ text, read: full });
    throw new Error(`readers differ: ${comparable(quick)} ${comparable(full)}`);
  }
  return true;
};

const TOKENS =
  '\n|\n  |\n    |  | |: |- |:|-|#| #|&a |*a|<<: |[|]|{|}|,|"|\'|\\|`|@|%|!reset |!override |!!int |?|? |a|1|~|\t|\r\n|---\n|...\n|>\n|>-\n|$|${A}|\u0000|\ufeff|é'
    .split('|')
    .concat('|\n', '|-\n', '|');

/** A text with a few places cut out, doubled, moved, or given a token or a piece of another file. */
const mutated = fc
  .tuple(
    fc.nat(texts.length - 1),
    fc.array(
      fc.record({
        kind: fc.constantFrom('cut', 'double', 'token', 'token', 'token', 'piece', 'indent'),
        at: fc.double({ min: 0, max: 1, noNaN: true }),
        length: fc.nat(12),
        token: fc.constantFrom(...TOKENS),
        other: fc.nat(texts.length - 1),
      }),
      { minLength: 1, maxLength: 3 },
    ),
  )
  .map(([index, changes]) =>
    changes.reduce((text, { kind, at, length, token, other }) => {
      const from = Math.floor(at * text.length);
      const [before, part, after] = [text.slice(0, from), text.slice(from, from + length), text.slice(from + length)];
      switch (kind) {
        case 'cut':
          return before + after;
        case 'double':
          return before + part + part + after;
        case 'piece':
          return before + (texts[other] ?? '').slice(Math.floor(at * 30)) + part + after;
        case 'indent':
          return before + (part + after).replace('\n', `\n${' '.repeat(length % 5)}`);
        default:
          return before + token + part + after;
      }
    }, texts[index] ?? ''),
  );

describe('corpus', () => {
  test.each(corpus)('$name', async ({ bytes, name }) => {
    await expect(outcomeOf(bytes)).resolves.toMatchSnapshot(name);
    comparesWell(bytes.toString('utf8'));
  });

  test('mutations of it: an answer or an error of the catalogue', async () => {
    await fc.assert(
      fc.asyncProperty(mutated, async (text) => {
        await outcomeOf(Buffer.from(text));
      }),
      runs(1000),
    );
  });
});

describe('the two readers', () => {
  test('read alike what the quick one reads', () => {
    let taken = 0;
    fc.assert(
      fc.property(mutated, (text) => {
        taken += Number(comparesWell(text));
      }),
      runs(4000),
    );
    expect(taken).toBeGreaterThan(400);
  });
});
