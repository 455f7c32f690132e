import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commandReference, manPage } from '../../../cli/command-tree/reference.ts';
import { rootCommand } from '../../../cli/command-tree/tree.ts';
import { root } from '../../../scripts/own-node.mjs';

test.each([
  ['commands.md', commandReference],
  ['hypr.1', manPage],
])('docs/%s is what the table of commands says; after a change: node scripts/command-reference.mjs', async (name, write) => {
  expect(await readFile(join(root, 'docs', name), 'utf8')).toBe(write(rootCommand));
});

test('the man page has no line that man takes for a request of its own', async () => {
  const known = /^\.(TH|SH|SS|TP|nf|fi)( |$)/;
  for (const line of manPage(rootCommand).split('\n')) {
    expect(line.startsWith("'") || (line.startsWith('.') && !known.test(line)) ? line : '').toBe('');
  }
});
