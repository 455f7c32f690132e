import { joinPath, type TreeEntry } from '../context/tree.ts';
import type { LayerTree } from '../solver/layer/layer-tree.ts';
import type { LayerItem } from '../solver/layer/tar-write.ts';

/**
 * Everything of a file system in the order of its names, parents before children, the further names of a hard-linked
 * file as links to its first. `epoch` (seconds): the time of everything, instead of its own.
 */
export function* treeItems(tree: LayerTree, epoch: number | undefined): Generator<LayerItem & { readonly entry: TreeEntry }> {
  const firstNames = new Map<object, string>();
  const pending = [...tree.list('')].reverse();
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const entry = tree.get(path);
    if (entry === undefined) {
      continue;
    }
    const attributes = epoch === undefined ? entry : { ...entry, mtime: epoch };
    const first = firstNames.get(entry.identity);
    if (entry.type !== 'dir' && first !== undefined) {
      yield { path, entry, attributes, hardlink: first };
      continue;
    }
    firstNames.set(entry.identity, path);
    yield { path, entry, attributes, content: { tree, entry } };
    if (entry.type === 'dir') {
      const parent = path;
      pending.push(...[...tree.list(parent)].reverse().map((name) => joinPath(parent, name)));
    }
  }
}
