import { describe, expect, it } from 'vitest';
import { checkHouse, findStrangers } from '../../scripts/lint/check-house.mjs';

const sources = (files: Readonly<Record<string, readonly string[]>>): Map<string, string> =>
  new Map(Object.entries(files).map(([file, imports]) => [file, imports.map((spec) => `import { a } from '${spec}';`).join('\n')]));

describe('the house check', () => {
  it('finds nothing when imports go down', () => {
    expect(
      checkHouse(sources({ 'cli/core/a.ts': ['../../engine/model/b.ts'], 'engine/model/b.ts': ['../../base/c.ts'], 'base/c.ts': [] })),
    ).toEqual([]);
  });

  it('refuses a floor that is not below when the path climbs twice', () => {
    expect(checkHouse(sources({ 'cli/commands/build/a.ts': ['../../../builder/git/b.ts'], 'builder/git/b.ts': [] }))).toEqual([
      'cli/commands/build/a.ts imports builder/git/b.ts: cli may import only base, compose, engine',
    ]);
  });

  it('refuses a room that stands above', () => {
    expect(checkHouse(sources({ 'engine/replica/a.ts': ['../stack/b.ts'], 'engine/stack/b.ts': [] }))).toEqual([
      'engine/replica/a.ts imports engine/stack/b.ts: engine/stack stands above engine/replica',
    ]);
  });

  it('refuses a circle when one side is only a type', () => {
    const files = new Map([
      ['base/a.ts', "import type { B } from './b.ts';"],
      ['base/b.ts', "const a = await import('./a.ts');"],
    ]);
    expect(checkHouse(files)).toEqual(['base/a.ts, base/b.ts: import each other in a circle']);
  });

  it('refuses a folder that is no room, and one that is crowded', () => {
    const many = Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`engine/plan/f${index}.ts`, []]));
    expect(checkHouse(sources({ ...many, 'engine/attic/a.ts': [] }))).toEqual([
      'engine/attic/a.ts: the folder is no room of scripts/lint/house.mjs',
      'engine/plan has 21 source files, more than 20: which rooms are in it?',
    ]);
  });

  it('finds what was left at the top', () => {
    expect(findStrangers(['base/a.ts', 'README.md', '1', 'notes/a.md', 'notes/b.md'])).toEqual([
      '1 stands at the top and is not in TOP of scripts/lint/house.mjs',
      'notes stands at the top and is not in TOP of scripts/lint/house.mjs',
    ]);
  });

  it('counts Go and C, without tests that stand beside what they test', () => {
    const files = (count: number) =>
      Array.from({ length: count }, (_, index) => [`net/gateway/f${index}.go`, [`net/gateway/f${index}_test.go`]]);
    const folder = (count: number) =>
      sources(
        Object.fromEntries(
          files(count)
            .flat(2)
            .map((file) => [file, []]),
        ),
      );
    expect(checkHouse(folder(20))).toEqual([]);
    expect(checkHouse(folder(21))).toEqual(['net/gateway has 21 source files, more than 20: which rooms are in it?']);
  });
});
