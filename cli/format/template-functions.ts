import { structFields } from './go-view.ts';
import { bad } from './template-parse.ts';

/** Functions of Go's text/template and of docker's formatter, by name. */
export const FUNCTIONS: Readonly<Record<string, (...args: unknown[]) => unknown>> = {
  json: (value) => JSON.stringify(value ?? null),
  upper: (value) => toText(value).toUpperCase(),
  lower: (value) => toText(value).toLowerCase(),
  title: (value) => toText(value).replace(/\b\p{L}/gu, (letter) => letter.toUpperCase()),
  split: (value, separator) => toText(value).split(toText(separator)),
  join: (values, separator) => (Array.isArray(values) ? values.map(toText).join(toText(separator)) : toText(values)),
  truncate: (value, length) => [...toText(value)].slice(0, Number(length)).join(''),
  pad: (value, before, after) => (toText(value) === '' ? '' : `${blanks(before)}${toText(value)}${blanks(after)}`),
  println: (...values) => `${values.map(toText).join(' ')}\n`,
  print: (...values) => printAll(values),
  printf: (format, ...values) => formatPrintf(toText(format), values),
  html: (...values) => printAll(values).replace(/[&<>'"\0]/g, (char) => HTML[char] ?? char),
  urlquery: (...values) => new URLSearchParams({ '': printAll(values) }).toString().slice(1),
  len: (value) => lengthOf(value),
  index: (value, ...keys) => keys.reduce(readIndex, value),
  slice: (value, from = 0, to) => readSlice(value, Number(from), to === undefined ? undefined : Number(to)),
  eq: (first, ...others) => others.some((other) => other === first || (isNone(other) && isNone(first))),
  ne: (first, second) => first !== second && !(isNone(first) && isNone(second)),
  lt: (first, second) => compare(first, second) < 0,
  gt: (first, second) => compare(first, second) > 0,
  le: (first, second) => compare(first, second) <= 0,
  ge: (first, second) => compare(first, second) >= 0,
  not: (value) => !isTrue(value),
};

/** How Go prints a value: lists as `[a b]`, maps as `map[k:v]`, structs as `{a b}`, a nil pointer as `<nil>`. */
export const toText = (value: unknown): string => {
  if (value === undefined) {
    return '';
  }
  if (value === null) {
    return '<nil>';
  }
  if (Array.isArray(value)) {
    return `[${value.map(toText).join(' ')}]`;
  }
  if (isRecord(value)) {
    const fields = structFields(value);
    if (fields !== undefined) {
      return `{${fields.map((field) => toText(value[field])).join(' ')}}`;
    }
    const parts = Object.keys(value).sort();
    return `map[${parts.map((key) => `${key}:${toText(value[key])}`).join(' ')}]`;
  }
  return String(value);
};

/** Truth as in Go templates: not zero, not empty, not missing. */
export const isTrue = (value: unknown): boolean =>
  Array.isArray(value) ? value.length > 0 : isRecord(value) ? Object.keys(value).length > 0 : Boolean(value);

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isNone = (value: unknown): boolean => value === undefined || value === null;

const MOST_BLANKS = 1000;
const blanks = (count: unknown): string => ' '.repeat(Math.min(Math.max(Number(count) || 0, 0), MOST_BLANKS));

/** Spaces between two values of which neither is text, as Go's Sprint puts them. */
const printAll = (values: readonly unknown[]): string =>
  values.map((value, at) => `${at > 0 && ![value, values[at - 1]].some(isText) ? ' ' : ''}${toText(value)}`).join('');

const isText = (value: unknown): boolean => typeof value === 'string';

const HTML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&#39;', '"': '&#34;', '\0': '\ufffd' };

const compare = (first: unknown, second: unknown): number => {
  if (isText(first) && isText(second)) {
    return Buffer.compare(Buffer.from(toText(first)), Buffer.from(toText(second)));
  }
  return Number(first) - Number(second);
};

const lengthOf = (value: unknown): number => {
  if (Array.isArray(value)) {
    return value.length;
  }
  // Go counts bytes.
  return isText(value) ? Buffer.byteLength(toText(value)) : isRecord(value) ? Object.keys(value).length : 0;
};

const readIndex = (value: unknown, key: unknown): unknown => {
  if (!Array.isArray(value)) {
    return isRecord(value) && Object.hasOwn(value, toText(key)) ? value[toText(key)] : '';
  }
  const at = Number(key);
  if (!Number.isInteger(at) || at < 0 || at >= value.length) {
    throw bad(`index ${toText(key)} is out of range: there are ${value.length}`);
  }
  return value[at];
};

const readSlice = (value: unknown, from: number, to: number | undefined): unknown => {
  if (!Array.isArray(value) && !isText(value)) {
    throw bad('slice takes a text or a list');
  }
  const whole = Array.isArray(value) ? value : Buffer.from(toText(value));
  const end = to ?? whole.length;
  if (!(from >= 0 && from <= end && end <= whole.length)) {
    throw bad(`slice ${from} ${end} is out of range: there are ${whole.length}`);
  }
  return Array.isArray(value) ? value.slice(from, end) : Buffer.from(toText(value)).subarray(from, end).toString();
};

const formatPrintf = (format: string, values: readonly unknown[]): string => {
  const rest = [...values];
  return format.replace(
    /%([-0]?)(\d*)(?:\.(\d+))?([svdqtxf%])/g,
    (_, flag: string, width: string, places: string | undefined, verb: string) => {
      if (verb === '%') {
        return '%';
      }
      const text = formatVerb(verb, rest.shift(), places);
      const size = Math.min(Number(width), MOST_BLANKS);
      return flag === '-' ? text.padEnd(size) : text.padStart(size, flag === '0' ? '0' : ' ');
    },
  );
};

const formatVerb = (verb: string, value: unknown, places: string | undefined): string => {
  switch (verb) {
    case 'q':
      return JSON.stringify(toText(value));
    case 'x':
      return typeof value === 'number' ? value.toString(16) : Buffer.from(toText(value)).toString('hex');
    case 'f':
      return Number(value).toFixed(Math.min(Number(places ?? 6), 20));
    default:
      return places !== undefined && verb === 's' ? [...toText(value)].slice(0, Number(places)).join('') : toText(value);
  }
};
