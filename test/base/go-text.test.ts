import { expect, test } from 'vitest';
import { quoteRune, quoteText } from '../../base/go-text.ts';

// Values of Go's fmt.Printf("%q").
test.each([
  ['plain', '"plain"'],
  ['two "words" \\', '"two \\"words\\" \\\\"'],
  ['tab\tline\nbell\u0007', '"tab\\tline\\nbell\\a"'],
  ['ünï 世界', '"ünï 世界"'],
  ["it's", '"it\'s"'],
  ['\u0001\u007f\u00a0\u200b', '"\\x01\\x7f\\u00a0\\u200b"'],
  ['\u{e0001}', '"\\U000e0001"'],
])('%j is %s', (text, quoted) => {
  expect(quoteText(text)).toBe(quoted);
});

test.each([
  [0, "'\\x00'"],
  [3, "'\\x03'"],
  [10, "'\\n'"],
  [39, "'\\''"],
  [65, "'A'"],
  [-1, "'\ufffd'"],
])('the number %i is %s', (code, quoted) => {
  expect(quoteRune(code)).toBe(quoted);
});
