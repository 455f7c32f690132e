import type { ScalarValue } from '../source/node.ts';
import { readTimestamp } from '../source/timestamp.ts';

/**
 * The value of a plain (unquoted) scalar as Go's YAML reader resolves it: YAML 1.2's core types, plus
 * 1.1's octal, binary and underscored integers, and timestamps; yes/no/on/off stay strings.
 */
export const resolvePlain = (text: string): { value: ScalarValue; date?: true; float?: true } => {
  const named = NAMED.get(text);
  if (named !== undefined) {
    return named;
  }
  const first = text.charCodeAt(0);
  if (!(first === 0x2b || first === 0x2d || first === 0x2e || (first >= 0x30 && first <= 0x39))) {
    return { value: text };
  }
  if (readTimestamp(text) !== undefined) {
    return { value: text, date: true };
  }
  const digits = text.replaceAll('_', '');
  const integer = parseInteger(digits);
  if (integer !== undefined) {
    return { value: integer };
  }
  const float = FLOAT.test(digits) ? Number(digits) : Infinity;
  if (Number.isFinite(float)) {
    return { value: float, float: true };
  }
  // No number, or one that no float holds.
  return { value: text };
};

/** True for a string that only YAML 1.1 would read as another type; it is written in single quotes. */
export const isOldScalar = (text: string): boolean => text === '<<' || OLD_BOOL.has(text) || BASE_60.test(text);

/** True if a plain scalar of this text would be read as a string, so that it needs no quotes. */
export const readsAsString = (text: string): boolean => {
  if (text === '') {
    return false;
  }
  const resolved = resolvePlain(text);
  return typeof resolved.value === 'string' && resolved.date !== true;
};

const NAMED = new Map<string, { value: ScalarValue; float?: true }>([
  ...['', '~', 'null', 'Null', 'NULL'].map((text) => [text, { value: null }] as const),
  ...['true', 'True', 'TRUE'].map((text) => [text, { value: true }] as const),
  ...['false', 'False', 'FALSE'].map((text) => [text, { value: false }] as const),
  ...['.nan', '.NaN', '.NAN'].map((text) => [text, { value: Number.NaN, float: true as const }] as const),
  ...['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'].map((text) => [text, { value: Infinity, float: true as const }] as const),
  ...['-.inf', '-.Inf', '-.INF'].map((text) => [text, { value: -Infinity, float: true as const }] as const),
]);

const parseInteger = (digits: string): number | bigint | undefined => {
  if (digits === '-0') {
    return -0;
  }
  const match = INTEGER.exec(digits);
  if (match === null) {
    return undefined;
  }
  const [, sign, body = ''] = match;
  const modern = /^0[0-7]+$/.test(body) ? `0o${body.slice(1)}` : body;
  const magnitude = BigInt(modern.toLowerCase());
  const value = sign === '-' ? -magnitude : magnitude;
  if (value > MAX_UINT64 || value < MIN_INT64) {
    return undefined;
  }
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
};

const MAX_UINT64 = (1n << 64n) - 1n;
const MIN_INT64 = -(1n << 63n);
const INTEGER = /^([-+]?)(0|[1-9][0-9]*|0[0-7]+|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+)$/;
const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
const BASE_60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;
const OLD_BOOL = new Set('y Y yes Yes YES on On ON n N no No NO off Off OFF'.split(' '));
