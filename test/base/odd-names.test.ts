import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeName, encodeName, isOddName } from '../../base/odd-names.ts';
import { SEED } from '../support/seed.ts';

test('every name comes back byte for byte, and two names are never one', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 40 }), (one, two) => {
      const [a, b] = [Buffer.from(one), Buffer.from(two)];
      expect(encodeName(decodeName(a))).toEqual(a);
      expect(decodeName(a) === decodeName(b)).toBe(a.equals(b));
    }),
    { seed: SEED, numRuns: 500 },
  );
});

test('a name that is UTF-8 is its text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(decodeName(Buffer.from(text))).toBe(text);
      expect(isOddName(text)).toBe(false);
    }),
    { seed: SEED },
  );
  expect(isOddName(decodeName(Buffer.from([0x61, 0xe9])))).toBe(true);
});
