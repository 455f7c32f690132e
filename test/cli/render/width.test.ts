import fc from 'fast-check';
import stringWidth from 'string-width';
import { describe, expect, it } from 'vitest';
import { cut, shorten, spread, widthOf } from '../../../cli/render/width.ts';

/** What frames are made of, and what programs print between. */
const piece = fc.constantFrom(
  ...['│', '─', '┐', '●', '◐', '◍', '○', '‖', '›', '…', '×', '·', '↓', '→', '▁', '█', '▶', '■', '◼', '◽', '◾'],
  ...['\u001b[31m', '\u001b[1;39m', '\u001b[0m', '\u001b]8;;https://web.shop.hypr\u001b\\', '\u001b]8;;\u001b\\'],
  ...['\u0300', '\ufe0f', '\u200d', '\u00ad', '漢', '한', '👩‍👩‍👧', '🇩🇪', 'é', '½', '↔', '⚡', '1\ufe0f\u20e3'],
);
const textOf = (pieces: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(fc.oneof(pieces, fc.string({ maxLength: 4 })), { maxLength: 20 }).map((parts) => parts.join(''));
const text = textOf(piece);
/** With sequences that do not end, which no frame has: what programs print is sanitised before. */
const broken = textOf(fc.oneof(piece, fc.constantFrom('\u001b[', '\u001b', '\u001b[3', '\u001b]8;;x')));

describe('columns of text', () => {
  it('are what they are when every character is looked at', () => {
    fc.assert(
      fc.property(broken, (line) => {
        expect(widthOf(line)).toBe(stringWidth(line));
      }),
      { numRuns: 3000 },
    );
  });

  it('are never more than there is room for', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 0, max: 30 }), fc.boolean(), (line, width, unicode) => {
        expect(stringWidth(cut(line, width))).toBeLessThanOrEqual(width);
        expect(stringWidth(shorten(line, width, unicode))).toBeLessThanOrEqual(width);
      }),
      { numRuns: 2000 },
    );
  });

  it('go to both ends of a line', () => {
    expect(spread(' shop', '\u001b[34m[+] up\u001b[39m', 20, true)).toBe(' shop         \u001b[34m[+] up\u001b[39m');
    expect(spread('a long name', '12%', 10, true)).toBe('a lon… 12%');
  });
});
