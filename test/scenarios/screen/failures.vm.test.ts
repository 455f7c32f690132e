import { expect, test } from 'vitest';
import { tellFailure } from '../../cli/failures/tell-failure.ts';
import { TestStack } from '../../support/stack.ts';
import { FAILURES } from './failures.ts';

test('each of the likeliest failures of images and machines, made for real, has the text of failures.txt; `vitest -u` writes it anew', async () => {
  const texts: string[] = [];
  for (const [name, failure] of Object.entries(FAILURES)) {
    const stack = new TestStack('failures');
    try {
      const { result, text } = await tellFailure(name, failure, stack);
      expect.soft([name, result.code, text.includes('HYPR_INTERNAL')]).toEqual([name, failure.code ?? 1, false]);
      texts.push(text);
    } finally {
      await stack.close();
    }
  }
  await expect(texts.join('\n')).toMatchFileSnapshot('failures.txt');
}, 900_000);
