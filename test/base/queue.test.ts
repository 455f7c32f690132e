import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AsyncQueue } from '../../base/queue.ts';

const readAll = async <T>(queue: AsyncQueue<T>): Promise<T[]> => {
  const items: T[] = [];
  for await (const item of queue) {
    items.push(item);
  }
  return items;
};

/** Whether a promise has settled by now. */
const isDone = async (promise: Promise<unknown>): Promise<boolean> => {
  let done = false;
  const mark = () => {
    done = true;
  };
  promise.then(mark, mark);
  await new Promise((resolve) => setImmediate(resolve));
  return done;
};

describe('the writer of a queue', () => {
  test('ends it after what waits', async () => {
    const queue = new AsyncQueue<number>();
    void queue.push(1);
    void queue.push(2);
    queue.end();
    void queue.push(3);
    expect(await readAll(queue)).toEqual([1, 2]);
    expect(await queue.next()).toEqual({ done: true, value: undefined });
  });

  test('fails it after what waits', async () => {
    const queue = new AsyncQueue<number>();
    void queue.push(1);
    queue.fail(new Error('broken'));
    queue.end();
    expect(await queue.next()).toEqual({ done: false, value: 1 });
    await expect(queue.next()).rejects.toThrow('broken');
  });

  test('fails whoever waits for an item', async () => {
    const queue = new AsyncQueue<number>();
    const both = [queue.next(), queue.next()];
    queue.fail(new Error('broken'));
    expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  test('waits while more than the limit has not been read', async () => {
    const queue = new AsyncQueue<string>({ limit: 3, weigh: (text) => text.length });
    expect(await isDone(queue.push('abc'))).toBe(true);
    const second = queue.push('de');
    const third = queue.push('f');
    expect(await isDone(second)).toBe(false);
    await queue.next();
    expect(await isDone(second)).toBe(true);
    expect(await isDone(third)).toBe(true);
  });

  test('with room for nothing waits for each item to be read', async () => {
    const queue = new AsyncQueue<number>({ limit: 0 });
    const [one, two] = [queue.push(1), queue.push(2)];
    await queue.next();
    expect([await isDone(one), await isDone(two)]).toEqual([true, false]);
    const taken = queue.next();
    expect(await isDone(two)).toBe(true);
    expect(await taken).toEqual({ done: false, value: 2 });
    const waiting = queue.next();
    expect(await isDone(queue.push(3))).toBe(true);
    expect((await waiting).value).toBe(3);
  });

  test('still waits after the end, until the rest is read', async () => {
    const queue = new AsyncQueue<number>({ limit: 0 });
    const writing = queue.push(1);
    queue.end();
    expect(await isDone(writing)).toBe(false);
    await readAll(queue);
    expect(await isDone(writing)).toBe(true);
  });

  test('goes on when the reader leaves', async () => {
    const queue = new AsyncQueue<number>({ limit: 1 });
    const writing = [1, 2, 3].map((item) => queue.push(item));
    for await (const _ of queue) {
      break;
    }
    await Promise.all(writing);
    await queue.push(4);
    expect(queue.size).toBe(0);
  });

  test('sees the last item and puts another in its place', async () => {
    const queue = new AsyncQueue<string>({ limit: 4, weigh: (text) => text.length });
    expect(queue.last).toBeUndefined();
    void queue.push('ab');
    void queue.push('c');
    expect(queue.last).toBe('c');
    queue.replaceLast('cdef');
    expect(await isDone(queue.push('g'))).toBe(false);
    expect(queue.takeAll()).toEqual(['ab', 'cdef', 'g']);
    expect(queue.last).toBeUndefined();
  });
});

describe('the reader of a queue', () => {
  test('leaves while it waits', async () => {
    let closed = 0;
    const queue = new AsyncQueue<number>({ onClose: () => closed++ });
    const waiting = queue.next();
    await queue.return();
    await queue.return();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(closed).toBe(1);
  });

  test('may end it with an error of its own', async () => {
    const queue = new AsyncQueue<number>({ limit: 0 });
    const writing = queue.push(1);
    await expect(queue.throw(new Error('enough'))).rejects.toThrow('enough');
    await writing;
    expect(await queue.next()).toEqual({ done: true, value: undefined });
  });

  test('is said to have left when it has read everything after the end', async () => {
    let closed = 0;
    const queue = new AsyncQueue<number>({ onClose: () => closed++ });
    void queue.push(1);
    queue.end();
    expect(closed).toBe(0);
    await readAll(queue);
    expect(closed).toBe(1);
  });

  test('that gives up takes nothing', async () => {
    const queue = new AsyncQueue<number>();
    const controller = new AbortController();
    const given = queue.take(controller.signal);
    controller.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
    await expect(queue.take(controller.signal)).rejects.toThrow('enough');
    void queue.push(1);
    expect(await queue.take(new AbortController().signal)).toEqual({ done: false, value: 1 });
  });

  test('shares the items with another', async () => {
    const queue = new AsyncQueue<number>();
    const both = [queue.next(), queue.next()];
    void queue.push(1);
    void queue.push(2);
    expect((await Promise.all(both)).map(({ value }) => value)).toEqual([1, 2]);
  });

  test('gets the newest when only so many are kept', async () => {
    const queue = new AsyncQueue<number>({ keepNewest: 2 });
    for (const item of [1, 2, 3, 4]) {
      void queue.push(item);
    }
    queue.end();
    expect(await readAll(queue)).toEqual([3, 4]);
  });
});

test('a long queue keeps its order while it is read and written', async () => {
  const queue = new AsyncQueue<number>();
  let next = 0;
  for (let round = 0; round < 30; round++) {
    for (let count = 0; count < 1000; count++) {
      void queue.push(next++);
    }
    for (let count = 0; count < 900; count++) {
      await queue.next();
    }
  }
  expect(queue.takeAll()).toEqual(Array.from({ length: 3000 }, (_, at) => at + 27_000));
});

test('whatever is pushed and read in any order comes whole and in order, and no writer is left waiting', async () => {
  const steps = fc.array(fc.constantFrom('push', 'read', 'pause'), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 0, max: 5 }), async (order, limit) => {
      const queue = new AsyncQueue<number>({ limit, weigh: (item) => item % 3 });
      const [writes, reads]: [Array<Promise<void>>, Array<Promise<IteratorResult<number>>>] = [[], []];
      for (const step of order) {
        if (step === 'push') {
          writes.push(queue.push(writes.length));
        } else if (step === 'read') {
          reads.push(queue.next());
        } else {
          await Promise.resolve();
        }
      }
      queue.end();
      const rest = await readAll(queue);
      const read = (await Promise.all(reads)).flatMap((result) => (result.done ? [] : [result.value]));
      await Promise.all(writes);
      expect([...read, ...rest]).toEqual(Array.from(writes.keys()));
    }),
  );
});
