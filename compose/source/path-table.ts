import type { Node, Path } from './node.ts';

/**
 * Rules by path in the model. Patterns are dotted; `*` matches any key or list position. The walk
 * follows the table, so parts of a file without a rule cost nothing.
 */
export class PathTable<T> {
  value: T | undefined;
  readonly #children = new Map<string, PathTable<T>>();

  constructor(rules: Readonly<Record<string, T>> = {}) {
    for (const [pattern, value] of Object.entries(rules)) {
      let at: PathTable<T> = this;
      for (const part of pattern.split('.')) {
        at = at.#child(part);
      }
      at.value = value;
    }
  }

  next(part: string): PathTable<T> | undefined {
    return this.#children.get(part) ?? this.#children.get('*');
  }

  get isLeaf(): boolean {
    return this.#children.size === 0;
  }

  #child(part: string): PathTable<T> {
    let child = this.#children.get(part);
    if (child === undefined) {
      child = new PathTable<T>();
      this.#children.set(part, child);
    }
    return child;
  }
}

/**
 * Applies each rule to the node at its path, outermost first, and continues inside the result.
 * Unchanged parts are shared with the input.
 */
export const rewrite = <T>(node: Node, table: PathTable<T>, apply: (rule: T, node: Node, path: Path) => Node, path: Path = []): Node => {
  const changed = table.value === undefined ? node : apply(table.value, node, path);
  if (table.isLeaf || changed.kind === 'scalar') {
    return changed;
  }
  if (changed.kind === 'list') {
    const below = table.next('[]');
    return below === undefined
      ? changed
      : { ...changed, items: changed.items.map((item, i) => rewrite(item, below, apply, [...path, `[${i}]`])) };
  }
  const entries = new Map(changed.entries);
  for (const [key, value] of changed.entries) {
    const below = table.next(key);
    if (below !== undefined) {
      entries.set(key, rewrite(value, below, apply, [...path, key]));
    }
  }
  return { ...changed, entries };
};

/** `services.web.ports[0]`, as people write it. */
export const formatPath = (path: Path): string => path.join('.').replaceAll('.[', '[');
