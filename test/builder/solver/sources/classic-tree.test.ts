import { expect, test } from 'vitest';
import type { FileTree, TreeEntry } from '../../../../builder/context/tree.ts';
import { classicTree } from '../../../../builder/solver/sources/classic-tree.ts';

/** A tree of files without folders. */
const treeOf = (files: Record<string, string>): FileTree => ({
  get: (path) => (files[path] === undefined ? undefined : ({ path, type: 'file', size: files[path].length } as TreeEntry)),
  list: () => Object.keys(files),
  read: async function* ({ path }) {
    yield Buffer.from(files[path] ?? '');
  },
  digest: async () => '',
});

test.each([
  ['Dockerfile\n.dockerignore\na', ['a']],
  ['*', ['a']],
  ['.dockerignore', ['Dockerfile', 'a']],
  ['*\n!Dockerfile', ['Dockerfile', 'a']],
  ['a', ['.dockerignore', 'Dockerfile', 'a']],
])('a classic context loses its two files where .dockerignore (%j) names them, and nothing else', async (ignore, left) => {
  const tree = await classicTree(treeOf({ '.dockerignore': ignore, Dockerfile: 'FROM x', a: '1' }), 'Dockerfile');
  expect(tree.list('').toSorted()).toEqual(left);
  expect(tree.get('Dockerfile') === undefined).toBe(!left.includes('Dockerfile'));
});
