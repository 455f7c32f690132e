/**
 * A time as docker's flags and filters have it: a Go duration before `now` (`1h30m`), seconds since the epoch with a fraction, or RFC 3339 with or
 * without a zone, down to the hour or the day alone. Gives milliseconds since the epoch, undefined where it is none of them.
 */
export const readMoment = (text: string, now: number): number | undefined => {
  const duration = readGoDuration(text);
  if (duration !== undefined) {
    return now - duration;
  }
  // docker takes what has a minus for a date.
  return (text.startsWith('-') ? undefined : readUnixTime(text)) ?? readDate(text);
};

/** `SECONDS[.FRACTION]` in milliseconds. The fraction counts from its second on, also before 1970, as in docker. */
export const readUnixTime = (text: string): number | undefined => {
  const [, seconds, fraction = ''] = /^([+-]?\d{1,15})(?:\.(\d{1,18}))?$/.exec(text) ?? [];
  // Not the whole as one number: times of a record are whole milliseconds, and one that is a little more than its own would not find itself.
  return seconds === undefined ? undefined : Number(seconds) * 1000 + Number(fraction.padEnd(9, '0').slice(0, 9)) / 1e6;
};

/** Milliseconds of a Go duration such as `1h30m` or `-5s`, or undefined when it is none. */
export const readGoDuration = (text: string): number | undefined => {
  if (!/^[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|m|s|us|[µμ]s|ns))+$/.test(text)) {
    return undefined;
  }
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(h|ms|m|s|us|[µμ]s|ns)/g)) {
    sum += Number(amount) * (UNITS[unit ?? ''] ?? 0);
  }
  return text.startsWith('-') ? -sum : sum;
};

/** Go takes both letters for micro: the sign and the Greek one. */
const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, µs: 1e-3, μs: 1e-3, ns: 1e-6 };

const DATE = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.\d+)?)?)?)?(Z|[+-]\d\d:\d\d)?$/;

const readDate = (text: string): number | undefined => {
  const [, year = '', month = '', day = '', hour = '00', minute = '00', second = '00', zone = ''] = DATE.exec(text) ?? [];
  // What JavaScript carries over into the next day or month, docker refuses.
  if (year === '' || Number(day) > daysOf(Number(year), Number(month)) || hour === '24') {
    return undefined;
  }
  const fraction = /\.\d+/.exec(text)?.[0] ?? '';
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${fraction}${zone}`);
  return Number.isNaN(time) ? undefined : time;
};

/** Days of a month, January being 1. */
export const daysOf = (year: number, month: number): number => {
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return month === 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31;
};
