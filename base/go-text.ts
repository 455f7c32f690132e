/** As Go prints a duration: `1m30s`, `24h0m0s`, `1h5m30.02s`, `500ms`, `10µs`, `0s`. */
export const formatDuration = (nanoseconds: number): string => {
  const sign = nanoseconds < 0 ? '-' : '';
  const value = Math.abs(nanoseconds);
  if (value === 0) {
    return '0s';
  }
  if (value < 1e9) {
    const [unit, size] = value < 1e3 ? ['ns', 1] : value < 1e6 ? ['µs', 1e3] : ['ms', 1e6];
    return `${sign}${decimal(value, size as number)}${unit}`;
  }
  const minutes = Math.floor(value / 60e9);
  const seconds = `${decimal(value - minutes * 60e9, 1e9)}s`;
  const hours = Math.floor(minutes / 60);
  return `${sign}${hours > 0 ? `${hours}h` : ''}${minutes > 0 ? `${minutes % 60}m` : ''}${seconds}`;
};

/** `value / size` without trailing zeros, exact to the nanosecond. */
const decimal = (value: number, size: number): string => {
  const whole = Math.floor(value / size);
  const rest = value - whole * size;
  const digits = String(size).length - 1;
  return rest === 0 ? String(whole) : `${whole}.${String(Math.round(rest)).padStart(digits, '0').replace(/0+$/, '')}`;
};

/** A text as Go's %q prints it (strconv.Quote). */
export const quoteText = (text: string): string => `"${Array.from(text, (char) => escapeChar(char, '"')).join('')}"`;

/** A number as Go's %q prints it: the character with that code, quoted. */
export const quoteRune = (code: number): string =>
  `'${escapeChar(String.fromCodePoint(code >= 0 && code <= 0x10ffff ? code : 0xfffd), "'")}'`;

const ESCAPES: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
};

const escapeChar = (char: string, quote: string): string => {
  const known = char === quote ? `\\${quote}` : ESCAPES[char];
  if (known !== undefined || char === ' ' || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(char)) {
    return known ?? char;
  }
  const code = char.codePointAt(0) ?? 0;
  return code < 0x80
    ? `\\x${code.toString(16).padStart(2, '0')}`
    : code < 0x10000
      ? `\\u${code.toString(16).padStart(4, '0')}`
      : `\\U${code.toString(16).padStart(8, '0')}`;
};
