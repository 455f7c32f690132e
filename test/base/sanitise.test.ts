import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sanitiseLog, sanitiseName, sanitiseText } from '../../base/sanitise.ts';
import { runs } from '../support/seed.ts';

describe('names', () => {
  test.each([
    ['plain text', 'plain text'],
    ['a\u001b[31mb\u001b[0m', 'ab'],
    ['a\u001b]0;title\u0007b', 'ab'],
    ['a\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\', 'alink'],
    ['a\u001bPq#\u001b\\b', 'ab'],
    ['a\u009b31mb', 'a31mb'],
    ['a\r\nb\tc', 'a b c'],
    ['abc\u202edef', 'abcdef'],
    ['grün 日本', 'grün 日本'],
    ['a\u001b', 'a'],
    ['a\u001b[', 'a'],
    ['a\u001b]unterminated', 'a'],
  ])('%j', (text, clean) => {
    expect(sanitiseName(text)).toBe(clean);
  });

  test('text keeps its lines and tabs', () => {
    expect(sanitiseText('a\tb\nc\u001b[2J')).toBe('a\tb\nc');
  });
});

describe('log lines', () => {
  test.each([
    ['plain', 'plain'],
    ['\u001b[1;31mred', '\u001b[1;31mred\u001b[0m'],
    ['\u001b[2Jcleared\u001b[10;10H', 'cleared'],
    ['10%\r50%\r100%', '100%'],
    ['done\r', 'done'],
    ['\u001b]8;;https://x.y\u0007link', '\u001b]8;;https://x.y\u001b\\link\u001b]8;;\u001b\\'],
    ['\u001b]8;;javascript:alert(1)\u0007link', 'link'],
    ['\u001b]52;c;AAAA\u0007copied', 'copied'],
    ['\u001b\u001b[31mx', '\u001b[31mx\u001b[0m'],
    ['a\tb', 'a\tb'],
    ['bell\u0007', 'bell'],
  ])('%j', (line, clean) => {
    expect(sanitiseLog(line)).toBe(clean);
  });

  test('colours can be left out', () => {
    expect(sanitiseLog('\u001b[31mred\u001b[0m', { color: false })).toBe('red');
  });
});

test('whatever comes, nothing but colours and links is left', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 6 }),
    fc.constantFrom(
      '\u001b',
      '\u001b[',
      '\u001b]',
      '\u001b]8;;',
      '\u001bP',
      '\u0007',
      '\u001b\\',
      '31m',
      '2J',
      ';',
      '\u009b',
      '\r',
      'http://a',
    ),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const text = pieces.join('');
      expect(sanitiseName(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      const rest = sanitiseLog(text)
        .replace(/\u001b\[[\d;:]*m/g, '')
        .replace(/\u001b\]8;[\w=:-]*;[^\u0000-\u001f\u007f-\u009f]*(?:\u0007|\u001b\\)/g, '');
      expect(rest).not.toMatch(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/);
    }),
    runs(3000),
  );
});
