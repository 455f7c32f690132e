import type { PublishedName, PublishedNames } from '../model/published-names.ts';

interface NameOfStack {
  readonly stack: string;
  readonly name: PublishedName;
}

/**
 * The names of all stacks, sorted, each once. A service's own name wins over one that a label asks for, in whatever stack;
 * otherwise the first stack by name has it.
 */
export const mergeNames = (stacks: readonly PublishedNames[]): NameOfStack[] => {
  const merged = new Map<string, NameOfStack>();
  const ordered = [...stacks].sort((a, b) => compare(a.stack, b.stack));
  for (const wantExtra of [false, true]) {
    for (const { stack, names } of ordered) {
      for (const name of names) {
        if (name.isExtra === wantExtra && !merged.has(name.host)) {
          merged.set(name.host, { stack, name });
        }
      }
    }
  }
  return [...merged.values()].sort((a, b) => compare(a.name.host, b.name.host));
};

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
