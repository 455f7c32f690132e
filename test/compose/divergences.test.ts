import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DIVERGENCES, explainDifference } from './compare/divergences.ts';

test('the allow-list of the comparison and the table in the docs have the same names', async () => {
  const text = await readFile(join(import.meta.dirname, '../../docs/compose-divergences.md'), 'utf8');
  const documented = [...text.matchAll(/^\| `([a-z-]+)` \|/gm)].map((match) => match[1]);
  expect(documented.sort()).toEqual(Object.keys(DIVERGENCES).sort());
});

test('what is not in the list is not explained', () => {
  const answer = (code: number, stdout: string, stderr = '') => ({ code, stdout, stderr });
  const explain = (ours: ReturnType<typeof answer>, theirs: ReturnType<typeof answer>) =>
    explainDifference({ args: ['config'], input: 'services: {}', ours, theirs });
  expect(explain(answer(0, 'a: 1\n'), answer(0, 'a: 2\n'))).toBeUndefined();
  expect(explain(answer(0, 'a: 1\n'), answer(1, '', 'services.a must be a mapping'))).toBeUndefined();
  expect(explain(answer(1, '', 'COMPOSE_INVALID: x'), answer(0, 'a: 1\n'))).toBeUndefined();
  expect(explain(answer(0, 'a: 1\n'), answer(1, '', "'services[a].memswap_limit' invalid size: '-1'"))).toBe('negative-size');
});
