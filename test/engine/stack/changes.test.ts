import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Replica } from '../../../engine/replica/replica.ts';
import type { StackNetworks } from '../../../engine/resources/networks.ts';
import { Changes } from '../../../engine/stack/changes.ts';
import type { NameTable } from '../../../guest/types.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A stack of one machine that takes in everything at once, and the names of now. */
const makeStack = () => {
  const heard: NameTable[] = [];
  const now = { address: '1', settled: 0 };
  const run = { names: undefined, guest: { setNames: async (names: NameTable) => void heard.push(names) } };
  const replicas = new Map([['web-1', { run, row: { name: 'web-1', state: 'running', spec: {} } } as unknown as Replica]]);
  const networks = { nameTables: () => () => ({ web: [now.address] }), publishNames: () => {} } as unknown as StackNetworks;
  const changes = new Changes({ replicas, networks, liveRows: () => [], onSettled: () => (now.settled += 1) });
  const change = async (address: string): Promise<void> => {
    now.address = address;
    changes.note();
    await vi.advanceTimersByTimeAsync(1);
  };
  const addresses = () => heard.map((table) => table.web?.[0]);
  return { changes, change, now, addresses };
};

it('tells of a change at once, and of those that follow in one go', async () => {
  const { change, addresses, now } = makeStack();
  await change('1');
  expect(addresses()).toEqual(['1']);
  for (const address of ['2', '3', '4']) {
    await change(address);
  }
  expect(addresses()).toEqual(['1']);
  expect(now.settled).toBe(4);
  await vi.advanceTimersByTimeAsync(250);
  expect(addresses()).toEqual(['1', '4']);
  await change('5');
  await vi.advanceTimersByTimeAsync(1000);
  await change('6');
  expect(addresses()).toEqual(['1', '4', '5', '6']);
});

it('puts nothing off beyond the end of an operation', async () => {
  const { changes, change, addresses } = makeStack();
  await change('1');
  await change('2');
  changes.flush();
  await vi.advanceTimersByTimeAsync(1);
  expect(addresses()).toEqual(['1', '2']);
});

it('tells nothing once it is closed', async () => {
  const { changes, change, addresses } = makeStack();
  await change('1');
  await change('2');
  changes.close();
  await vi.advanceTimersByTimeAsync(1000);
  expect(addresses()).toEqual(['1']);
});
