import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { generateProtocol } from '../../scripts/generate-protocol.mjs';

it.each(Object.entries(generateProtocol()))('%s › is what the table of the protocol says', async (path, text) => {
  const file = fileURLToPath(new URL(`../../${path}`, import.meta.url));
  expect(await readFile(file, 'utf8'), 'stale: run `npm run generate`').toBe(text);
});
