import { expect, test } from 'vitest';
import { MISTAKES } from './mistakes.ts';
import { failure } from './project-folder.ts';

/** What a person sees for each mistake: place, message, excerpt with a caret, hint. `vitest -u` writes the file anew. */
test('every mistake has the text, hint and place of error-texts.txt', async () => {
  const texts: string[] = [];
  for (const [name, files] of Object.entries(MISTAKES)) {
    const { code, message, hint, at, details } = await failure(files, { projectName: 'p' });
    expect([name, at], 'has a line and a column').toEqual([name, expect.stringMatching(/:\d+:\d+$/)]);
    expect([name, details.at(-1)], 'has a caret').toEqual([name, expect.stringMatching(/\^$/)]);
    const excerpt = details.map((line) => `    ${line.trimEnd()}`);
    texts.push([`# ${name}`, `${at}: ${message}  [${code}]`, ...excerpt, ...(hint === undefined ? [] : [`hint: ${hint}`]), ''].join('\n'));
  }
  await expect(texts.join('\n')).toMatchFileSnapshot('error-texts.txt');
});
