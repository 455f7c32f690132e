import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseCommandLine } from '../../../cli/command-tree/program.ts';
import { manPage } from '../../../cli/command-tree/reference.ts';
import { rootCommand } from '../../../cli/command-tree/tree.ts';
import type { CommandSpec } from '../../../cli/core/command-spec.ts';
import { writtenDocs } from '../../../scripts/lint/write-docs.mjs';
import { root } from '../../../scripts/own-node.mjs';

test.each(Object.entries(writtenDocs()))('docs/%s is what the tables of the code say', async (name, text) => {
  expect(await readFile(join(root, 'docs', name), 'utf8'), 'stale: run `npm run generate`').toBe(text);
});

test('the man page has no line that man takes for a request of its own', async () => {
  const known = /^\.(TH|SH|SS|TP|nf|fi)( |$)/;
  for (const line of manPage(rootCommand).split('\n')) {
    expect(line.startsWith("'") || (line.startsWith('.') && !known.test(line)) ? line : '').toBe('');
  }
});

test('no command has a name twice, and each has help', () => {
  const visit = (spec: CommandSpec, path: readonly string[]): void => {
    const names = (spec.commands ?? []).map(({ name }) => name);
    expect(new Set(names).size, path.join(' ')).toBe(names.length);
    expect(parseCommandLine([...path, '--help']).kind).toBe('print');
    for (const child of spec.commands ?? []) {
      visit(child, [...path, child.name]);
    }
  };
  visit(rootCommand, []);
});
