import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { neverAborts } from '../../../base/abort.ts';
import { buildMemory, MachineScheduler, type RestingMachine } from '../../../builder/model/machine-scheduler.ts';
import { SEED } from '../../support/seed.ts';

const MIB = 1000;
const signal = neverAborts();

describe('turns', () => {
  test('a step whose stage has a machine comes before those that have to start one', async () => {
    const scheduler = new MachineScheduler({ working: 1, memoryMib: 10 * MIB });
    await scheduler.turn({ warm: false }, signal);
    const order: string[] = [];
    const wait = (name: string, warm: boolean) => scheduler.turn({ warm }, signal).then(() => order.push(name));
    const waits = [wait('cold', false), wait('warm', true), wait('later', false)];
    for (const one of [1, 0, 2]) {
      scheduler.endTurn();
      await waits[one];
    }
    expect(order).toEqual(['warm', 'cold', 'later']);
  });

  test('a wait that is given up takes no turn with it', async () => {
    const scheduler = new MachineScheduler({ working: 1, memoryMib: MIB });
    await scheduler.turn({ warm: false }, signal);
    const abort = new AbortController();
    const given = scheduler.turn({ warm: false }, abort.signal);
    abort.abort(new Error('given up'));
    await expect(given).rejects.toThrow('given up');
    scheduler.endTurn();
    await scheduler.turn({ warm: false }, signal);
  });
});

describe('memory', () => {
  const rested = (scheduler: MachineScheduler, ended: string[], name: string, spare = false): RestingMachine => ({
    spare,
    giveUp: async () => {
      ended.push(name);
      scheduler.left(MIB);
    },
  });

  test('machines that rest are given up for another: spare ones first, then the one that rests longest', async () => {
    const scheduler = new MachineScheduler({ working: 2, memoryMib: 3 * MIB });
    const ended: string[] = [];
    for (const name of ['first', 'second', 'spare']) {
      await scheduler.admit(MIB, signal);
      scheduler.rest(rested(scheduler, ended, name, name === 'spare'));
    }
    await scheduler.admit(MIB, signal);
    await scheduler.admit(MIB, signal);
    expect(ended).toEqual(['spare', 'first']);
  });

  test('a start waits while all machines work, until one ends', async () => {
    const scheduler = new MachineScheduler({ working: 2, memoryMib: MIB });
    await scheduler.admit(MIB, signal);
    const second = scheduler.admit(MIB, signal);
    scheduler.left(MIB);
    await second;
  });

  test('one machine is always admitted, whatever it wants and however little is free', async () => {
    const scheduler = new MachineScheduler({ working: 2, memoryMib: MIB, freeMib: () => 0 });
    await scheduler.admit(50 * MIB, signal);
  });

  test('memory that another program gave back is noticed, although no machine of this process ends', async () => {
    let free = 0;
    const scheduler = new MachineScheduler({ working: 2, memoryMib: 10 * MIB, freeMib: () => free, lookAgainMs: 5 });
    await scheduler.admit(MIB, signal);
    const second = scheduler.admit(MIB, signal);
    free = 10 * MIB;
    await second;
  });

  test('what other programs took counts: a machine that rests ends at once when little is free', async () => {
    let free = 10 * MIB;
    const scheduler = new MachineScheduler({ working: 2, memoryMib: 10 * MIB, freeMib: () => free });
    const ended: string[] = [];
    await scheduler.admit(MIB, signal);
    await scheduler.admit(MIB, signal);
    scheduler.rest(rested(scheduler, ended, 'kept'));
    free = 100;
    const other = rested(scheduler, ended, 'given up');
    scheduler.rest(other);
    expect([ended, scheduler.resume(other)]).toEqual([['given up'], false]);
  });

  test('property: never more memory than the budget but for one machine, and everybody is served', async () => {
    const plan = fc.record({
      budget: fc.integer({ min: 500, max: 4000 }),
      working: fc.integer({ min: 1, max: 3 }),
      stages: fc.array(fc.record({ mib: fc.integer({ min: 100, max: 2000 }), steps: fc.integer({ min: 1, max: 4 }) }), { maxLength: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ budget, working, stages }) => {
        const scheduler = new MachineScheduler({ working, memoryMib: budget });
        const live: number[] = [];
        let busy = 0;
        const stage = async ({ mib, steps }: { mib: number; steps: number }) => {
          let resting: RestingMachine | undefined;
          const end = async () => {
            live.splice(live.indexOf(mib), 1);
            scheduler.left(mib);
          };
          for (let step = 0; step < steps; step++) {
            await scheduler.turn({ warm: resting !== undefined }, signal);
            busy += 1;
            expect(busy).toBeLessThanOrEqual(working);
            if (resting === undefined || !scheduler.resume(resting)) {
              await scheduler.admit(mib, signal);
              live.push(mib);
              expect(live.length === 1 || live.reduce((sum, one) => sum + one) <= budget).toBe(true);
            }
            await new Promise((resolve) => setImmediate(resolve));
            resting = { spare: false, giveUp: end };
            busy -= 1;
            if (step + 1 < steps) {
              scheduler.rest(resting);
            } else {
              await end();
            }
            scheduler.endTurn();
          }
        };
        await Promise.all(stages.map(stage));
        expect(live).toEqual([]);
      }),
      { seed: SEED, numRuns: 100 },
    );
  });
});

test.each([
  [64 * 1024, 2048],
  [2731, 2048],
  [2730, 1536],
  [1945, 1024],
  [1024, 768],
  [400, 256],
])('a build machine of a host with %i MiB has %i MiB', (host, machine) => {
  expect(buildMemory(host)).toBe(machine);
});
