import { daysOf } from '../../base/moment.ts';

/**
 * A plain scalar that Go's YAML reader takes for a date, with or without a time: after `T` with a zone, after a blank without one. Undefined: it
 * takes it for text.
 */
export const readTimestamp = (text: string): Timestamp | undefined => {
  const [, year = '', month = '', day = '', separator, hour = '0', minute = '0', second = '0', fraction = '', zone] =
    PATTERN.exec(text) ?? [];
  const isDay = Number(month) >= 1 && Number(month) <= 12 && Number(day) >= 1 && Number(day) <= daysOf(Number(year), Number(month));
  const hasZone = separator?.toLowerCase() === 't';
  const limits = [
    [hour, 23],
    [minute, 59],
    [second, 59],
    [zone?.slice(1, 3), 24],
    [zone?.slice(4), 60],
  ] as const;
  if (year === '' || !isDay || hasZone !== (zone !== undefined) || limits.some(([part = '0', most]) => (Number(part) || 0) > most)) {
    return undefined;
  }
  const [hours = 0, minutes = 0] = zone === undefined || zone === 'Z' ? [] : zone.slice(1).split(':').map(Number);
  const nanoseconds = fraction.slice(1, 10).replace(/0+$/, '');
  return {
    day: `${year}-${two(month)}-${two(day)}`,
    clock: `${two(hour)}:${two(minute)}:${two(second)}${nanoseconds === '' ? '' : `.${nanoseconds}`}`,
    sign: zone?.startsWith('-') === true ? '-' : '+',
    offset: [two(hours + Math.trunc(minutes / 60)), two(minutes % 60)],
  };
};

/** The parts as they are printed; `offset` is hours and minutes of the zone. */
export interface Timestamp {
  readonly day: string;
  readonly clock: string;
  readonly sign: '+' | '-';
  readonly offset: readonly [string, string];
}

/** As Go prints a time with `%v`: `2020-01-01 00:00:00 +0000 UTC`. */
export const goTime = ({ day, clock, sign, offset }: Timestamp): string => {
  const zone = isUtc(offset) ? '+0000 UTC' : `${sign}${offset.join('')} ${sign}${offset.join('')}`;
  return `${day} ${clock} ${zone}`;
};

/** As Go writes a time into YAML and JSON: `2020-01-01T00:00:00Z`. */
export const rfc3339 = ({ day, clock, sign, offset }: Timestamp): string =>
  `${day}T${clock}${isUtc(offset) ? 'Z' : `${sign}${offset.join(':')}`}`;

const isUtc = (offset: readonly [string, string]): boolean => offset.every((part) => part === '00');

const two = (digits: string | number): string => String(digits).padStart(2, '0');

const PATTERN = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:([Tt]|\s+)(\d{1,2}):(\d{1,2}):(\d{1,2})([.,]\d+)?(Z|[-+]\d{2}:\d{2})?)?$/;
