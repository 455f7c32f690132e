import { HyprError } from '../../base/errors.ts';

const pad = (value: number, width = 2): string => String(value).padStart(width, '0');

/** RFC 3339 with nine fractional digits, UTC: the fixed width of docker's log timestamps. */
export const rfc3339Nano = (ms: number): string => new Date(ms).toISOString().replace(/(\.\d{3})Z$/, '$1000000Z');

/** `2006-01-02 15:04:05.000000` in local time, as docker compose events prints. */
export const eventTime = (ms: number): string => {
  const date = new Date(ms);
  return `${day(date)} ${clock(date)}.${pad(date.getMilliseconds(), 3)}000`;
};

let zones: Intl.DateTimeFormat | undefined;

/** Go's time.String(): `2006-01-02 15:04:05 +0100 CET`. */
export const goTime = (ms: number): string => {
  const date = new Date(Math.trunc(ms / 1000) * 1000);
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? '-' : '+';
  const size = Math.abs(offset);
  zones ??= new Intl.DateTimeFormat('en', { timeZoneName: 'short' });
  const zone = zones.formatToParts(date).find((part) => part.type === 'timeZoneName');
  return `${day(date)} ${clock(date)} ${sign}${pad(Math.trunc(size / 60))}${pad(size % 60)} ${zone?.value ?? 'UTC'}`;
};

/** `15:04:05` in local time. */
export const clockTime = (ms: number): string => clock(new Date(ms));

const day = (date: Date): string => `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
const clock = (date: Date): string => `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;

const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 };

/**
 * `--since` and `--until`: a Go duration before now (`1h30m`), seconds since the epoch (with fraction),
 * or an RFC 3339 time, with or without zone. Gives milliseconds since the epoch; throws HYPR_USAGE.
 */
export const parseMoment = (text: string, options: { readonly flag: string; readonly now: number }): number => {
  const duration = parseGoDuration(text);
  if (duration !== undefined) {
    return options.now - duration;
  }
  if (/^\d+(\.\d+)?$/.test(text)) {
    return Number(text) * 1000;
  }
  const moment = /^\d{4}-\d\d-\d\d(T\d\d(:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?)?$/.test(text)
    ? Date.parse(completeTime(text))
    : Number.NaN;
  if (Number.isNaN(moment)) {
    throw new HyprError('HYPR_USAGE', `--${options.flag} does not understand "${text}"`, {
      hint: 'give a duration (42m), a time (2026-01-02T13:23:37Z) or seconds since 1970',
    });
  }
  return moment;
};

// docker accepts a date alone and an hour alone; JavaScript reads the first as UTC and rejects the second.
const completeTime = (text: string): string => {
  if (!text.includes('T')) {
    return `${text}T00:00:00`;
  }
  return /T\d\d$/.test(text) ? `${text}:00` : text;
};

/** Milliseconds of a Go duration such as `1h30m` or `-5s`, or undefined when it is none. */
export const parseGoDuration = (text: string): number | undefined => {
  if (!/^[+-]?(\d+(\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns)((\d+(\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns))*$/.test(text)) {
    return undefined;
  }
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(h|ms|m|s|us|µs|ns)/g)) {
    sum += Number(amount) * (UNITS[unit ?? ''] ?? 0);
  }
  return text.startsWith('-') ? -sum : sum;
};
