import { describe, expect, it } from 'vitest';
import { PendingEdits } from '../../../../engine/replica/edits/pending-edits.ts';
import type { FolderChange } from '../../../../vmm/model/machine.ts';

const pending = (...lines: string[]): PendingEdits => {
  const edits = new PendingEdits();
  for (const line of lines) {
    const [kind, path = ''] = line.split(' ');
    edits.add({ kind: kind as FolderChange['kind'], path });
  }
  return edits;
};

const NOTHING = { written: [], appeared: [], gone: [], folders: [] };

/** Everything, in batches. */
const takeAll = (edits: PendingEdits) => {
  const batches = [];
  while (!edits.isEmpty) {
    batches.push(edits.take());
  }
  return batches;
};

describe('edits that a guest does not know of yet', () => {
  it('have each path once, by what happened last', () => {
    const edits = pending('written a', 'written a', 'appeared b', 'written b', 'appeared c', 'gone c', 'gone d', 'appeared d', 'written d');
    expect(edits.take()).toEqual({ ...NOTHING, written: ['a'], appeared: ['b', 'd'], gone: ['c'] });
    expect(edits.isEmpty).toBe(true);
    expect(edits.take()).toEqual(NOTHING);
  });

  it('are nothing when only the watcher itself is told of', () => {
    expect(pending('ready', 'limit').isEmpty).toBe(true);
  });

  it('are the whole folder when news were lost', () => {
    expect(pending('lost').take()).toEqual({ ...NOTHING, folders: [''] });
  });

  it('are told in batches that fit into a request, a path too long for one alone', () => {
    const edits = new PendingEdits();
    for (let i = 0; i < 500; i += 1) {
      edits.add({ kind: 'appeared', path: `src/${i}` });
    }
    const batches = takeAll(edits);
    expect(batches.map(({ appeared }) => appeared.length)).toEqual([128, 128, 128, 116]);
    expect(batches.flatMap(({ appeared }) => appeared)).toEqual(Array.from({ length: 500 }, (_, i) => `src/${i}`));
    const long = pending(`written ${'x'.repeat(11_000)}`, `written ${'y'.repeat(11_000)}`);
    expect(takeAll(long).map(({ written }) => written.length)).toEqual([1, 1]);
  });

  it('are told by their folders when there are more than anybody remembers, and take no more memory then', () => {
    const edits = new PendingEdits();
    for (let i = 0; i < 100_000; i += 1) {
      edits.add({ kind: 'written', path: `${i % 3}/deep/${i}` });
    }
    const told = takeAll(edits);
    expect(told.length).toBeLessThan(50);
    expect(new Set(told.flatMap(({ folders }) => folders))).toEqual(new Set(['0/deep', '1/deep', '2/deep']));
  });

  it('are told by the folder when the name cannot be said', () => {
    expect(pending('written src/a\ufffd', 'written \ufffd').take()).toEqual({ ...NOTHING, folders: ['src', ''] });
  });
});
