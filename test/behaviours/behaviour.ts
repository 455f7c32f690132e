import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, inject, test } from 'vitest';
import { type Bench, withBench } from './workshop.ts';

/** One behaviour of BuildKit, by the number it has in this project's list of sixty. */
export interface Behaviour {
  readonly number: number;
  readonly name: string;
  readonly check: (bench: Bench) => Promise<void>;
}

/** A test for each, in one home, several at a time; how many hold is printed at the end. */
export const testBehaviours = (title: string, behaviours: readonly Behaviour[]): void => {
  describe.concurrent(title, () => {
    let home = '';
    const holding = new Set<number>();
    beforeAll(async () => {
      home = await mkdtemp(join(tmpdir(), 'hypr-behaviours-'));
      await mkdir(home, { recursive: true });
      await symlink(join(inject('hyprHome'), 'toolchain'), join(home, 'toolchain'));
    });
    afterAll(async () => {
      await rm(home, { recursive: true, force: true });
      const numbers = [...new Set(behaviours.map(({ number }) => number))];
      const others = numbers.filter((number) => !holding.has(number));
      process.stdout.write(
        `${title}: ${holding.size} of ${numbers.length} hold${others.length > 0 ? `; not: ${others.join(', ')}` : ''}\n`,
      );
    });
    for (const { number, name, check } of behaviours) {
      test(`${number} ${name}`, async () => {
        await withBench(home, check);
        holding.add(number);
      });
    }
  });
};
