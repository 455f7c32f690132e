import { HyprError } from '../../base/errors.ts';

/**
 * A Compose duration (`1h5m30s20ms`, `90s`, `1d`, `500us`, a bare `0`) in milliseconds; may be fractional.
 * @throws COMPOSE_INVALID
 */
export const parseDuration = (text: string): number => parseNanoseconds(text) / 1e6;

/** The same in nanoseconds, exact up to 2^53. Units: w d h m s ms us µs ns. */
export const parseNanoseconds = (text: string): number => {
  const trimmed = text.trim();
  const sign = trimmed.startsWith('-') ? -1 : 1;
  const body = trimmed.replace(/^[-+]/, '');
  if (body === '0') {
    return 0;
  }
  let total = 0;
  let at = 0;
  for (const match of body.matchAll(DURATION_PART)) {
    if (match.index !== at) {
      break;
    }
    total += Number(match[1]) * (NANOSECONDS[match[2] ?? ''] ?? Number.NaN);
    at += match[0].length;
  }
  if (at !== body.length || at === 0 || !Number.isFinite(total) || total > 2 ** 63) {
    throw new HyprError('COMPOSE_INVALID', `"${text.slice(0, 60)}" is not a duration`, {
      hint: 'write a number and a unit, e.g. 30s, 1m30s, 500ms',
    });
  }
  return sign * Math.round(total);
};

/**
 * A Compose size (`512m`, `1.5gb`, `64MiB`, `-1`, plain bytes) in bytes; units are powers of 1024.
 * @throws COMPOSE_INVALID
 */
export const parseBytes = (text: string): number => {
  const trimmed = text.trim();
  if (/^[-+]?\d+$/.test(trimmed)) {
    return Number(trimmed);
  }
  const match = SIZE.exec(trimmed);
  if (match === null) {
    throw new HyprError('COMPOSE_INVALID', `"${text.slice(0, 60)}" is not a size`, { hint: 'write a number and a unit, e.g. 512m, 1.5g' });
  }
  const power = 'bkmgtp'.indexOf((match[2] ?? 'b').toLowerCase().charAt(0));
  return Math.floor(Number(match[1]) * 1024 ** Math.max(0, power));
};

const NANOSECONDS: Record<string, number> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
  d: 24 * 3600e9,
  w: 7 * 24 * 3600e9,
};
const DURATION_PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)/g;
const SIZE = /^(\d+(?:\.\d+)?|\.\d+) ?([kmgtp]i?b?|b)?$/i;
