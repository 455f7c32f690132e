import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { projectFolder } from '../../compose/project-folder.ts';
import { FAILURES } from './failures.ts';
import { type Place, tellFailure } from './tell-failure.ts';

/** A folder and a home of its own for each, in which nothing is set up: none of these may need that. */
const place = async (): Promise<Place> => {
  const dir = await projectFolder({});
  const env = { HYPR_HOME: await projectFolder({}), COMPOSE_PROJECT_NAME: 'failures', CI: undefined, NO_COLOR: undefined };
  const write = async (files: Readonly<Record<string, string>>): Promise<void> => {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(dir, path)), { recursive: true });
      await writeFile(join(dir, path), text);
    }
  };
  return { dir, env, write };
};

test('each of the likeliest failures that need no machine, made for real, has the text of failures.txt; `vitest -u` writes it anew', async () => {
  const texts: string[] = [];
  for (const [name, failure] of Object.entries(FAILURES)) {
    const { result, text } = await tellFailure(name, failure, await place());
    const isOurs = /HYPR_INTERNAL|not set up/.test(text);
    expect.soft([name, result.code, isOurs]).toEqual([name, failure.code ?? 1, false]);
    texts.push(text);
  }
  await expect(texts.join('\n')).toMatchFileSnapshot('failures.txt');
}, 180_000);
