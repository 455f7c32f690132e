import { expect, test } from 'vitest';
import { PlanBuilder } from '../../../../engine/plan/plan.ts';
import { executePlan } from '../../../../engine/stack/operations/execute.ts';

const planOf = (count: number, edges: Record<number, number[]>) => {
  const builder = new PlanBuilder();
  for (let id = 1; id <= count; id++) {
    builder.add({ type: 'start', replica: `r${id}`, service: 'r', number: id }, 'test', edges[id] ?? []);
  }
  return builder.build();
};

test('a node runs only after those it comes after', async () => {
  const order: number[] = [];
  await executePlan(planOf(4, { 2: [1], 3: [1], 4: [2, 3] }), async (node) => {
    await new Promise((resolve) => setImmediate(resolve));
    order.push(node.id);
  });
  expect(order[0]).toBe(1);
  expect(order[3]).toBe(4);
});

test('the first failure is thrown, stops what has not started and aborts what runs', async () => {
  const started: number[] = [];
  let aborted = false;
  const work = executePlan(planOf(4, { 3: [1], 4: [2] }), async (node, signal) => {
    started.push(node.id);
    if (node.id === 1) {
      throw new Error('first');
    }
    await new Promise<void>((_, reject) => {
      signal.addEventListener('abort', () => {
        aborted = true;
        reject(new Error('second'));
      });
    });
  });
  await expect(work).rejects.toThrow('first');
  expect(aborted).toBe(true);
  expect(started.sort()).toEqual([1, 2]);
});

test('an aborted signal ends the plan with its reason', async () => {
  const controller = new AbortController();
  const work = executePlan(
    planOf(2, { 2: [1] }),
    async (_, signal) => {
      controller.abort(new Error('enough'));
      signal.throwIfAborted();
    },
    controller.signal,
  );
  await expect(work).rejects.toThrow('enough');
});
