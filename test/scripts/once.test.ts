import { linkSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { root } from '../support/cli.ts';

interface Once {
  once(options: { root: string; name: string; wanted: string }, work: () => Promise<unknown>): Promise<void>;
}

const folder = mkdtempSync(join(tmpdir(), 'hypr-once-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('work that is done once', () => {
  it('is not done again when another tree, whose node_modules are hard links to these, does it for itself', async () => {
    const { once } = (await import(pathToFileURL(join(root, 'scripts', 'once.mjs')).href)) as Once;
    const done: string[] = [];
    const doIn = (tree: string) => once({ root: join(folder, tree), name: 'build', wanted: tree }, async () => done.push(tree));
    mkdirSync(join(folder, 'a'));
    await doIn('a');
    mkdirSync(join(folder, 'b/node_modules/.hypr'), { recursive: true });
    linkSync(join(folder, 'a/node_modules/.hypr/build'), join(folder, 'b/node_modules/.hypr/build'));
    for (const tree of ['b', 'a', 'b']) {
      await doIn(tree);
    }
    expect(done).toEqual(['a', 'b']);
  });
});
