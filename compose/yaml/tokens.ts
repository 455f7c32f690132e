import type { Budget } from '../model/limits.ts';
import type { SourceFile } from '../source/source.ts';

/**
 * Counts an upper bound of the tokens that the parser will make, and stops as soon as it is too
 * large.
 */
export const countTokens = (source: SourceFile, budget: Budget): number => {
  const { text } = source;
  let counted = 0;
  let total = 0;
  let quotes = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const weight = code < WEIGHTS.length ? (WEIGHTS[code] ?? 0) : 0;
    if (weight === BEFORE_BLANK) {
      counted += Number(text.charCodeAt(at + 1) === BLANK_CODE);
    } else if (weight === QUOTE) {
      quotes += 1;
      counted += quotes % 2;
    } else {
      counted += weight;
    }
    if (counted === TOKENS_AT_ONCE) {
      budget.countTokens(counted, { source, offset: at });
      total += counted;
      counted = 0;
    }
  }
  budget.countTokens(counted, { source, offset: Math.max(0, text.length - 1) });
  return total + counted;
};

const BLANK_CODE = 0x20;
const BEFORE_BLANK = 2;
const QUOTE = 3;
const TOKENS_AT_ONCE = 1000;
const WEIGHTS = new Uint8Array(128);
for (const [characters, weight] of [
  ['\n,[]{}*&!', 1],
  [':-?', BEFORE_BLANK],
  ['"\'', QUOTE],
] as const) {
  for (const char of characters) {
    WEIGHTS[char.charCodeAt(0)] = weight;
  }
}
