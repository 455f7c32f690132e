import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ErrorTail } from '../../base/error-tail.ts';

const tailOf = (lines: readonly string[], most: number): string[] => {
  const tail = new ErrorTail(most);
  for (const line of lines) {
    tail.add(line);
  }
  return tail.lines;
};
const lines = (from: number, count: number): string[] => Array.from({ length: count }, (_, index) => `line ${from + index}`);

test('the line that tells of the error stays, with its neighbours, when much is printed behind it', () => {
  expect(tailOf([...lines(0, 5), 'main.c:3: error: no', ...lines(6, 50)], 4)).toEqual([
    'line 3',
    'line 4',
    'main.c:3: error: no',
    'line 6',
    'line 7',
    'line 8',
    '…',
    ...lines(52, 4),
  ]);
});

test('no line is there twice where the error is just above the last ones', () => {
  expect(tailOf(['a', 'fatal: b', 'c', 'd', 'e', 'f'], 4)).toEqual(['a', 'fatal: b', '…', 'c', 'd', 'e', 'f']);
});

test('without an error, or with it among them, it is the last lines', () => {
  expect(tailOf(lines(0, 9), 3)).toEqual(lines(6, 3));
  expect(tailOf(['x', 'y', 'error'], 3)).toEqual(['x', 'y', 'error']);
  expect(tailOf([], 3)).toEqual([]);
});

test('it is never long, and ends with the last lines', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('ok', 'error: x', 'more', '')), fc.integer({ min: 1, max: 12 }), (all, most) => {
      const shown = tailOf(all, most);
      expect(shown.length).toBeLessThanOrEqual(most + 7);
      expect(shown.slice(-Math.min(most, all.length))).toEqual(all.slice(-most));
    }),
  );
});
