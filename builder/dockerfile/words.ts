/** Splits a logical line into keyword, flags and arguments, with quotes and escapes. */

const BLANKS = /[\t\v\f\r ]+/;
const SPACE = /\s/u;

/** Keyword, flags (leading words with `--`; a bare `--` ends them) and the rest, trimmed. */
export const splitCommand = (line: string): { keyword: string; flags: string[]; rest: string } => {
  const trimmed = trimSpace(line);
  const match = BLANKS.exec(trimmed);
  if (match === null) {
    return { keyword: trimmed, flags: [], rest: '' };
  }
  const { flags, rest } = splitFlags(trimSpace(trimmed.slice(match.index + match[0].length)));
  return { keyword: trimmed.slice(0, match.index), flags, rest: trimSpace(rest) };
};

const splitFlags = (line: string): { flags: string[]; rest: string } => {
  const flags: string[] = [];
  for (let pos = 0; pos < line.length; ) {
    if (SPACE.test(line[pos] ?? '')) {
      pos++;
      continue;
    }
    if (!line.startsWith('--', pos)) {
      return { flags, rest: line.slice(pos) };
    }
    const { word, end } = readFlag(line, pos);
    pos = end;
    if (word === '--' && end < line.length) {
      return { flags, rest: line.slice(end) };
    }
    if (word !== '--') {
      flags.push(word);
    }
  }
  return { flags, rest: '' };
};

/** One flag: quotes group and are removed, a backslash makes the next character literal. */
const readFlag = (line: string, start: number): { word: string; end: number } => {
  let word = '';
  let quote: string | undefined;
  let pos = start;
  for (; pos < line.length; pos++) {
    const ch = line[pos] ?? '';
    if (quote === undefined && SPACE.test(ch)) {
      break;
    }
    if (ch === quote) {
      quote = undefined;
    } else if (quote === undefined && (ch === "'" || ch === '"')) {
      quote = ch;
    } else if (ch === '\\') {
      word += line[++pos] ?? '';
    } else {
      word += ch;
    }
  }
  return { word, end: Math.min(pos, line.length) };
};

/** Words at unquoted, unescaped blanks; quotes and escapes stay in the words (ENV, LABEL, ARG). */
export const splitQuoted = (text: string, escapeChar: string): string[] => {
  const words: string[] = [];
  let word = '';
  let quote: string | undefined;
  const chars = Array.from(text);
  for (let pos = 0; pos < chars.length; pos++) {
    const ch = chars[pos] ?? '';
    if (quote === undefined && SPACE.test(ch)) {
      if (word !== '') {
        words.push(word);
      }
      word = '';
    } else if (ch === escapeChar && quote !== "'") {
      // An escape at the very end is a continuation without a next line.
      const next = chars[++pos];
      word += next === undefined ? '' : ch + next;
    } else {
      quote = toggleQuote(quote, ch);
      word += ch;
    }
  }
  return word === '' ? words : [...words, word];
};

const toggleQuote = (quote: string | undefined, ch: string): string | undefined => {
  if (quote === undefined) {
    return ch === "'" || ch === '"' ? ch : undefined;
  }
  return ch === quote ? undefined : quote;
};

/** Splits at blanks, without quotes and escapes. */
export const splitBlanks = (text: string): string[] => (text === '' ? [] : text.split(new RegExp(BLANKS, 'g')));

/** The first word and everything after it. */
export const splitFirst = (text: string): [string, string | undefined] => {
  const match = BLANKS.exec(text);
  return match === null ? [text, undefined] : [text.slice(0, match.index), text.slice(match.index + match[0].length)];
};

export const trimSpace = (text: string): string => text.replace(/^[\s\u0085]+|[\s\u0085]+$/gu, '');
