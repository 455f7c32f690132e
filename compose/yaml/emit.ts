import { formatFloat, Written } from '../source/node.ts';
import { isOldScalar, readsAsString } from './scalars.ts';

/**
 * Writes plain values as Go's YAML writer (go.yaml.in/yaml/v4) does with an indent of two: block style, lines folded at
 * the first space after column 80, strings without quotes where possible. Keys keep the order of the object, except that
 * integer-like keys are sorted in, because JavaScript moves them to the front.
 */
export const emitYaml = (value: unknown): string => {
  const out: string[] = [];
  if (isBlock(value)) {
    emitBlock(value, 0, out);
  } else {
    out.push(emitScalar(value, 0, 0), '\n');
  }
  return out.join('');
};

/**
 * The order of keys in YAML output: letters after other characters, runs of digits by their number
 * (`FOO, FOO_A, FOO1, FOO2, FOO10, FOOA`).
 */
export const compareNatural = (left: string, right: string): number => {
  const a = [...left];
  const b = [...right];
  let afterDigit = false;
  for (let i = 0; i < a.length && i < b.length; i++) {
    const x = a[i] ?? '';
    const y = b[i] ?? '';
    if (x === y) {
      afterDigit = isDigit(x);
      continue;
    }
    const xLetter = LETTER.test(x);
    const yLetter = LETTER.test(y);
    if (xLetter && yLetter) {
      return compareRunes(x, y);
    }
    if (xLetter || yLetter) {
      return xLetter === afterDigit ? -1 : 1;
    }
    return compareNumbers(a, b, i) || compareRunes(x, y);
  }
  return a.length - b.length;
};

/** Compares two runs of digits from `at`; leading zeros only count after a digit other than 0. */
const compareNumbers = (a: readonly string[], b: readonly string[], at: number): number => {
  const x = digitsFrom(a, at);
  const y = digitsFrom(b, at);
  let lead = 0n;
  if (a[at] === '0' || b[at] === '0') {
    for (let j = at - 1; j >= 0 && isDigit(a[j] ?? ''); j--) {
      if (a[j] !== '0') {
        lead = 1n;
        break;
      }
    }
  }
  const xNumber = lead * 10n ** BigInt(x.length) + BigInt(x || '0');
  const yNumber = lead * 10n ** BigInt(y.length) + BigInt(y || '0');
  return xNumber === yNumber ? x.length - y.length : xNumber < yNumber ? -1 : 1;
};

const digitsFrom = (text: readonly string[], at: number): string => {
  let digits = '';
  for (let i = at; isDigit(text[i] ?? '') && digits.length < 400; i++) {
    digits += text[i];
  }
  return digits;
};

const compareRunes = (x: string, y: string): number => (x.codePointAt(0) ?? 0) - (y.codePointAt(0) ?? 0);
const isDigit = (char: string): boolean => char >= '0' && char <= '9';
const LETTER = /\p{L}/u;

const isBlock = (value: unknown): value is object =>
  value !== null && typeof value === 'object' && !(value instanceof Written) && Object.keys(value).length > 0;

const emitBlock = (value: object, indent: number, out: string[]): void => {
  const pad = ' '.repeat(indent);
  if (Array.isArray(value)) {
    for (const item of value) {
      out.push(pad, '-');
      emitItem(item, indent, out);
    }
    return;
  }
  for (const [name, item] of orderedEntries(value)) {
    const key = emitKey(name);
    out.push(pad, key, ':');
    if (isBlock(item)) {
      out.push('\n');
      emitBlock(item, indent + 2, out);
    } else {
      out.push(' ', emitScalar(item, indent, indent + [...key].length + 2), '\n');
    }
  }
};

/** The part after the dash: a mapping or list starts on the same line. */
const emitItem = (item: unknown, indent: number, out: string[]): void => {
  if (!isBlock(item)) {
    out.push(' ', emitScalar(item, indent, indent + 2), '\n');
    return;
  }
  const inner: string[] = [];
  emitBlock(item, indent + 2, inner);
  out.push(' ', inner.join('').slice(indent + 2));
};

/** JavaScript puts integer-like keys first; objects that mix them with others are sorted in natural order. */
const orderedEntries = (value: object): Array<[string, unknown]> => {
  const entries = Object.entries(value);
  return entries.some(([key]) => /^\d/.test(key)) ? entries.sort(([a], [b]) => compareNatural(a, b)) : entries;
};

const emitKey = (key: string): string => emitText(key);

/** `column` is where it begins; folded lines continue two columns further in than `indent`. */
const emitScalar = (value: unknown, indent: number, column: number): string => {
  if (Array.isArray(value)) {
    return '[]';
  }
  if (value instanceof Written) {
    return value.yaml;
  }
  if (typeof value === 'object' && value !== null) {
    return '{}';
  }
  if (typeof value === 'string') {
    return value.includes('\n') && canBeLiteral(value) ? emitLiteral(value, indent + 2) : emitText(value, { indent: indent + 2, column });
  }
  if (typeof value === 'number') {
    return emitNumber(value);
  }
  return String(value);
};

const emitNumber = (value: number): string => {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? '.nan' : value > 0 ? '.inf' : '-.inf';
  }
  // A whole number was an integer in the file, unless it is too large for one.
  return Number.isInteger(value) && Math.abs(value) < 2 ** 64 && !Object.is(value, -0) ? String(value) : formatFloat(value);
};

/** The column where a scalar that may be folded begins, and the indent of its continuation lines. */
interface Place {
  readonly indent: number;
  readonly column: number;
}

/** A string as a scalar. Without a `place` (for keys) it stays on one line. */
export const emitText = (text: string, place?: Place): string => {
  if (text.includes('\n') || !readsAsString(text)) {
    return `"${fold([...text].map(escapeChar), place, { first: 1, last: [...text].length - 2, double: true })}"`;
  }
  if (isPlainSafe(text) && !isOldScalar(text)) {
    return fold([...text], place, { first: 0, last: Number.POSITIVE_INFINITY });
  }
  return canBeSingle(text)
    ? `'${fold(
        [...text].map((char) => (char === "'" ? "''" : char)),
        place,
        { first: 1, last: [...text].length - 2 },
      )}'`
    : `"${fold([...text].map(escapeChar), place, { first: 1, last: [...text].length - 2, double: true })}"`;
};

const FOLD_AFTER = 80;

/**
 * Breaks a line at a space once it is past the last column (libyaml's writers of plain and quoted scalars). Lines are broken
 * at single spaces only; in double quotes (`double`) at any space: the spaces after it begin the next line, after a backslash.
 */
const fold = (
  chars: readonly string[],
  place: Place | undefined,
  { first, last, double = false }: { first: number; last: number; double?: boolean },
): string => {
  if (place === undefined) {
    return chars.join('');
  }
  let column = place.column + first;
  let afterSpace = false;
  let out = '';
  for (const [index, char] of chars.entries()) {
    const nextIsSpace = chars[index + 1] === ' ';
    if (char === ' ' && !afterSpace && column > FOLD_AFTER && index >= first && index <= last && (double || !nextIsSpace)) {
      out += `\n${' '.repeat(place.indent)}${nextIsSpace ? '\\' : ''}`;
      column = place.indent + (nextIsSpace ? 1 : 0);
    } else {
      out += char;
      column += [...char].length;
    }
    afterSpace = char === ' ';
  }
  return out;
};

/** True if this text can be written as a block scalar. */
const isPlainSafe = (text: string): boolean =>
  !/^[\s#,[\]{}&*!|>'"%@`]|^[?:-](?:\s|$)|^(?:---|\.\.\.)|\s$/.test(text) &&
  !/:(?:\s|$)|\s#/.test(text) &&
  !text.includes('\t') &&
  isPrintable(text);

const canBeSingle = (text: string): boolean => !text.includes('\t') && isPrintable(text);

const canBeLiteral = (text: string): boolean => isPrintable(text) && !/ \n| $|^ +\n/.test(text) && !/[\u0085\u2028\u2029]/.test(text);

const isPrintable = (text: string): boolean => !UNPRINTABLE.test(text);

const emitLiteral = (text: string, indent: number): string => {
  const lines = text.split('\n');
  const trailing = /\n*$/.exec(text)?.[0].length ?? 0;
  const chomp = trailing === 0 ? '-' : trailing === 1 && text !== '\n' ? '' : '+';
  // Go's writer has it for a blank at the very beginning only; after empty lines its text would be read back without its blanks.
  const hint = /^\n* /.test(text) ? '2' : '';
  const body = (trailing === 0 ? lines : lines.slice(0, -1)).map((line) => (line === '' ? '' : ' '.repeat(indent) + line));
  return `|${hint}${chomp}\n${body.join('\n')}`;
};

/** A character escaped for double quotes. */
const escapeChar = (char: string): string => {
  if (!ESCAPED.test(char)) {
    return char;
  }
  const short = SHORT_ESCAPES[char];
  if (short !== undefined) {
    return short;
  }
  const code = char.codePointAt(0) ?? 0;
  const hex = code.toString(16).toUpperCase();
  return code <= 0xff ? `\\x${hex.padStart(2, '0')}` : code <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
};

const SHORT_ESCAPES: Record<string, string> = {
  '\0': '\\0',
  '\x07': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
  '\x1b': '\\e',
  '"': '\\"',
  '\\': '\\\\',
  '\u0085': '\\N',
  '\u00a0': '\\_',
  '\u2028': '\\L',
  '\u2029': '\\P',
};
const UNPRINTABLE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufeff\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const ESCAPED = /[\u0000-\u001f"\\\u007f-\u00a0\u2028\u2029\ufeff\ufffe\uffff]/;
