import { expect, it } from 'vitest';
import { tellNamesInTurn } from '../../../engine/machine/tell-names.ts';
import type { Run } from '../../../engine/replica/boot/run.ts';
import type { NameTable } from '../../../guest/types.ts';

const table = (address: string): NameTable => ({ db: [address] });

/** A guest that takes in what it is told when it is let. */
const slowRun = () => {
  const heard: NameTable[] = [];
  const taken: Array<{ resolve: () => void; reject: (error: Error) => void }> = [];
  const setNames = (names: NameTable): Promise<void> => {
    heard.push(names);
    return new Promise((resolve, reject) => taken.push({ resolve, reject }));
  };
  const run = { names: undefined, guest: { setNames } } as unknown as Run;
  return { heard, run, take: () => taken.shift() };
};

it('tells a guest that is busy only the last of what has changed', async () => {
  const { heard, run, take } = slowRun();
  const told = tellNamesInTurn(run, table('1'));
  await Promise.all(['2', '3', '4'].map((address) => tellNamesInTurn(run, table(address))));
  expect(heard).toEqual([table('1')]);
  take()?.resolve();
  await expect.poll(() => heard).toEqual([table('1'), table('4')]);
  take()?.resolve();
  await told;
  const again = tellNamesInTurn(run, table('4'));
  await again;
  expect(heard).toHaveLength(2);
});

it('tells it again after a failure', async () => {
  const { heard, run, take } = slowRun();
  const told = tellNamesInTurn(run, table('1'));
  take()?.reject(new Error('gone'));
  await expect(told).rejects.toThrow('gone');
  void tellNamesInTurn(run, table('1'));
  expect(heard).toEqual([table('1'), table('1')]);
  take()?.resolve();
});
