import { expect, test } from 'vitest';
import { EventBus } from '../../../../engine/logs/bus.ts';
import { Operations } from '../../../../engine/stack/operations/operation-queue.ts';

test('the removal of a one-off keeps the supervisor, but is no operation that followers of logs wait for', async () => {
  let ends = 0;
  const operations = new Operations(new EventBus(), () => {
    ends += 1;
  });
  const removal = Promise.withResolvers<void>();
  const removing = operations.keepBusy(() => removal.promise);
  expect([operations.isBusy, operations.areUnderWay]).toEqual([true, false]);
  const up = Promise.withResolvers<void>();
  const going = operations.run({ name: 'up', kind: 'up', signal: new AbortController().signal }, () => up.promise);
  expect([operations.isBusy, operations.areUnderWay]).toEqual([true, true]);
  up.resolve();
  await going;
  expect([operations.isBusy, operations.areUnderWay]).toEqual([true, false]);
  removal.resolve();
  await removing;
  expect([operations.isBusy, operations.areUnderWay, ends]).toEqual([false, false, 2]);
});
