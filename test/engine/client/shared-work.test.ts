import { expect, test } from 'vitest';
import { SharedWork } from '../../../engine/client/link/shared-work.ts';

/** Work that the test ends; what was begun, and with what reason it was aborted. */
const open = () => {
  const begun: { readonly end: (value: string) => void; readonly signal: AbortSignal }[] = [];
  const shared = new SharedWork<string>((signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    signal.addEventListener('abort', () => reject(signal.reason));
    begun.push({ end: resolve, signal });
    return promise;
  });
  return { shared, begun };
};

test('who asks meanwhile gets the same; who asks later begins anew', async () => {
  const { shared, begun } = open();
  const both = [shared.join(), shared.join(new AbortController().signal)];
  begun[0]?.end('one');
  expect(await Promise.all(both)).toEqual(['one', 'one']);
  const later = shared.join();
  expect(begun).toHaveLength(2);
  begun[1]?.end('two');
  expect(await later).toBe('two');
});

test('the one who began it may leave: the work goes on for the other', async () => {
  const { shared, begun } = open();
  const first = new AbortController();
  const leaving = shared.join(first.signal);
  const staying = shared.join();
  first.abort(new Error('left'));
  await expect(leaving).rejects.toThrow('left');
  expect(begun[0]?.signal.aborted).toBe(false);
  begun[0]?.end('done');
  expect(await staying).toBe('done');
});

test('when the last one has left it is aborted, and who comes then begins anew', async () => {
  const { shared, begun } = open();
  const controllers = [new AbortController(), new AbortController()];
  const all = controllers.map(({ signal }) => shared.join(signal));
  for (const [index, controller] of controllers.entries()) {
    controller.abort(new Error(`left ${index}`));
  }
  const again = shared.join();
  expect((await Promise.allSettled(all)).map((settled) => settled.status)).toEqual(['rejected', 'rejected']);
  expect(begun[0]?.signal.reason).toMatchObject({ message: 'left 1' });
  begun[1]?.end('anew');
  expect(await again).toBe('anew');
});

test('nothing is begun for one who has left before; a failure is everybody’s', async () => {
  const { shared, begun } = open();
  await expect(shared.join(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  expect(begun).toHaveLength(0);
  const failing = new SharedWork(async () => {
    throw new Error('no');
  });
  const both = [failing.join(), failing.join()];
  expect((await Promise.allSettled(both)).map((settled) => settled.status)).toEqual(['rejected', 'rejected']);
});
