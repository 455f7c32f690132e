import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type LineOptions, LineSplitter } from '../../base/lines.ts';

/** All lines of `text`, pushed in pieces of these sizes, one after the other and again. */
const linesOf = (text: string, sizes: readonly number[], options?: LineOptions): string[] => {
  const splitter = new LineSplitter(options);
  const data = Buffer.from(text);
  const lines: string[] = [];
  const keep = (found: readonly Buffer[]) => lines.push(...found.map((line) => line.toString()));
  for (let at = 0, turn = 0; at < data.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    const piece = Buffer.from(data.subarray(at, at + size));
    keep(splitter.push(piece));
    // The reader of a socket uses its memory again.
    piece.fill(0x21);
    at += size;
  }
  keep(splitter.flush());
  expect(splitter.pending).toBe(0);
  return lines;
};

const text = fc.string({ unit: fc.constantFrom('a', 'b', 'ä', '\n', '\r'), maxLength: 60 });
const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 4 });

describe('a line splitter', () => {
  test('gives the lines, whatever the pieces are', () => {
    fc.assert(
      fc.property(text, sizes, (whole, pieces) => {
        const lines = whole.split('\n');
        expect(linesOf(whole, pieces)).toEqual(lines.at(-1) === '' ? lines.slice(0, -1) : lines);
      }),
    );
  });

  test('gives a line that is too long in pieces, and loses nothing', () => {
    fc.assert(
      fc.property(text, sizes, fc.integer({ min: 1, max: 10 }), (whole, pieces, most) => {
        const ascii = whole.replaceAll('ä', 'c');
        const expected = ascii
          .split('\n')
          .flatMap((line) => (line === '' ? [''] : (line.match(new RegExp(`[^\\n]{1,${most}}`, 'gs')) ?? [])));
        expect(linesOf(ascii, pieces, { most })).toEqual(ascii === '' || ascii.endsWith('\n') ? expected.slice(0, -1) : expected);
      }),
    );
  });

  test('gives only the end of a line that is too long when so asked', () => {
    fc.assert(
      fc.property(text, sizes, fc.integer({ min: 1, max: 10 }), (whole, pieces, most) => {
        const ascii = whole.replaceAll('ä', 'c');
        const expected = ascii.split('\n').map((line) => line.slice(-most));
        expect(linesOf(ascii, pieces, { most, longer: 'end' })).toEqual(expected.at(-1) === '' ? expected.slice(0, -1) : expected);
      }),
    );
  });

  test('says how much has come of a line that has not ended', () => {
    const splitter = new LineSplitter();
    expect(splitter.push(Buffer.from('one\ntw')).map(String)).toEqual(['one']);
    expect(splitter.pending).toBe(2);
    expect(splitter.push(Buffer.from('o')).map(String)).toEqual([]);
    expect(splitter.pending).toBe(3);
    expect(splitter.push(Buffer.from('\n')).map(String)).toEqual(['two']);
    expect(splitter.flush()).toEqual([]);
  });

  test('puts a line together that comes in very many pieces', () => {
    const splitter = new LineSplitter();
    const piece = Buffer.alloc(16, 'x');
    for (let count = 0; count < 1 << 16; count++) {
      splitter.push(piece);
    }
    expect(splitter.flush()[0]?.length).toBe(1 << 20);
  });
});
