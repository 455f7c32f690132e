import type { Node, Path } from './node.ts';

/** Removes from an earlier model what a later document marked `!reset` or `!override`. */
export const applyResets = (model: Node, resets: readonly Path[]): Node => resets.reduce((node, path) => removeAt(node, path), model);

const removeAt = (node: Node, path: Path): Node => {
  const [part, ...rest] = path;
  if (part === undefined) {
    return node;
  }
  if (node.kind === 'list' && part.startsWith('[')) {
    // List positions of a later file do not correspond to those of an earlier one, so lists are reset as a whole.
    return node;
  }
  if (node.kind !== 'map') {
    return node;
  }
  const child = node.entries.get(part);
  if (child === undefined) {
    return node;
  }
  const entries = new Map(node.entries);
  if (rest.length === 0) {
    entries.delete(part);
    return { ...node, entries, removed: new Map([...(node.removed ?? []), [part, child]]) };
  }
  entries.set(part, removeAt(child, rest));
  return { ...node, entries };
};
