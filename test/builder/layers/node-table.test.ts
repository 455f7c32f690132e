import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type NodeId, NodeTable } from '../../../builder/layers/node-table.ts';
import { TextStore } from '../../../builder/layers/text-store.ts';
import { runs } from '../../support/seed.ts';

let folder: string;
let texts: TextStore;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hypr-nodes-'));
  texts = new TextStore(join(folder, 'names'), 2);
});
afterEach(() => {
  texts.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('texts', () => {
  test('beyond what memory may hold go to a file and come back, in any order', () => {
    const long = (index: number) => `${index}-`.padEnd(1 + ((index * 7919) % 5000), `\xff${index}`);
    const references = Array.from({ length: 800 }, (_, index) => texts.add(long(index)));
    expect(existsSync(join(folder, 'names'))).toBe(true);
    expect(new Set(references).size).toBe(references.length);
    for (let step = 0; step < references.length; step++) {
      const index = (step * 101) % references.length;
      expect(texts.get(references[index] ?? -1)).toBe(long(index));
    }
    texts.close();
    expect(existsSync(join(folder, 'names'))).toBe(false);
  });

  test('that memory can hold need no file', () => {
    expect(texts.get(texts.add(''))).toBe('');
    expect(existsSync(join(folder, 'names'))).toBe(false);
  });
});

interface Plain {
  readonly id: NodeId;
  readonly children: Map<string, Plain>;
}

describe('nodes', () => {
  test('are a tree of ordered, named children, whatever is added and taken away', () => {
    const step = fc.record({ folder: fc.nat(), name: fc.constantFrom('a', 'b', 'c', 'dd', '\xe9'), remove: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const nodes = new NodeTable(texts);
        const root: Plain = { id: 0, children: new Map() };
        const folders = [root];
        for (const { folder: which, name, remove } of steps) {
          const parent = folders[which % folders.length] ?? root;
          const before = parent.children.get(name);
          expect(nodes.find(parent.id, name)).toBe(before?.id ?? 0);
          if (before !== undefined) {
            nodes.detach(before.id);
            parent.children.delete(name);
          }
          if (!remove) {
            const id = nodes.create({ parent: parent.id, name, kind: 'dir' });
            nodes.attach(id);
            const node = { id, children: new Map() };
            parent.children.set(name, node);
            folders.push(node);
          }
        }
        expect([...nodes.walk()].map((id) => nodes.parts(id).join('/'))).toEqual(pathsOf(root, ''));
      }),
      runs(200),
    );
  });

  test('are found among a hundred thousand', () => {
    const nodes = new NodeTable(texts);
    const ids = Array.from({ length: 100_000 }, (_, index) => {
      const id = nodes.create({ parent: index >> 4, name: `n${index % 16}`, kind: 'dir' });
      nodes.attach(id);
      return id;
    });
    expect(ids.every((id, index) => nodes.find(index >> 4, `n${index % 16}`) === id)).toBe(true);
    expect(nodes.find(7, 'n16')).toBe(0);
    expect(nodes.size).toBe(100_001);
  });
});

const pathsOf = ({ children }: Plain, prefix: string): string[] =>
  [...children].flatMap(([name, child]) => [prefix + name, ...pathsOf(child, `${prefix}${name}/`)]);
