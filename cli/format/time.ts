import { HyprError } from '../../base/errors.ts';
import { readMoment } from '../../base/moment.ts';

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

/** `--since` and `--until` in milliseconds since the epoch. Throws HYPR_USAGE. */
export const parseMoment = (text: string, options: { readonly flag: string; readonly now: number }): number => {
  const moment = readMoment(text, options.now);
  if (moment === undefined) {
    throw new HyprError('HYPR_USAGE', `--${options.flag} does not understand "${text}"`, {
      hint: 'give a duration (42m), a time (2026-01-02T13:23:37Z) or seconds since 1970',
    });
  }
  return moment;
};
