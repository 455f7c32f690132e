import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sha256 } from '../../base/sha256.ts';
import { runs } from '../support/seed.ts';

const theirs = (text: string): string => createHash('sha256').update(text).digest('hex');

test('the hash is that of Node, around every border of a block', () => {
  for (let length = 0; length < 200; length += 1) {
    const text = 'x'.repeat(length);
    expect(sha256(text)).toBe(theirs(text));
  }
});

test('of any text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => sha256(text) === theirs(text)),
    runs(100),
  );
});
