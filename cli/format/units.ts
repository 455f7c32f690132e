const SECOND = 1000;

/** A duration in milliseconds as docker prints it: "4 seconds", "About an hour" (go-units HumanDuration). */
export const humanDuration = (ms: number): string => {
  const seconds = Math.trunc(ms / SECOND);
  if (seconds < 1) {
    return 'Less than a second';
  }
  if (seconds < 60) {
    return seconds === 1 ? '1 second' : `${seconds} seconds`;
  }
  const minutes = Math.trunc(seconds / 60);
  if (minutes < 60) {
    return minutes === 1 ? 'About a minute' : `${minutes} minutes`;
  }
  const hours = Math.trunc(ms / SECOND / 3600 + 0.5);
  return humanHours(hours, ms);
};

const humanHours = (hours: number, ms: number): string => {
  if (hours < 48) {
    return hours === 1 ? 'About an hour' : `${hours} hours`;
  }
  if (hours < 24 * 14) {
    return `${Math.trunc(hours / 24)} days`;
  }
  if (hours < 24 * 60) {
    return `${Math.trunc(hours / 24 / 7)} weeks`;
  }
  if (hours < 24 * 730) {
    return `${Math.trunc(hours / 24 / 30)} months`;
  }
  return `${Math.trunc(Math.trunc(ms / SECOND / 3600) / 24 / 365)} years`;
};

/** "4 seconds ago". */
export const ago = (then: number, now: number): string => `${humanDuration(Math.max(0, now - then))} ago`;

/** "2m", "3h": for narrow places. */
export const shortDuration = (ms: number): string => {
  const seconds = Math.max(0, Math.trunc(ms / SECOND));
  if (seconds < 60) {
    return `${seconds}s`;
  }
  if (seconds < 3600) {
    return `${Math.trunc(seconds / 60)}m`;
  }
  return seconds < 86_400 * 2 ? `${Math.trunc(seconds / 3600)}h` : `${Math.trunc(seconds / 86_400)}d`;
};

/** "3.1s": elapsed time of progress rows. */
export const elapsed = (ms: number): string => `${(Math.max(0, ms) / SECOND).toFixed(1)}s`;

/** Decimal units, three digits as docker prints image sizes: "17.1MB". */
export const humanSize = (bytes: number, digits = 3): string => scale(bytes, 1000, ['B', 'kB', 'MB', 'GB', 'TB', 'PB'], digits);

/** Binary units, four digits as docker stats prints memory: "7.445MiB". */
export const binarySize = (bytes: number): string => scale(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'], 4);

const scale = (value: number, base: number, units: readonly string[], digits: number): string => {
  let size = value;
  let unit = 0;
  while (size >= base && unit < units.length - 1) {
    size /= base;
    unit += 1;
  }
  return `${formatG(size, digits)}${units[unit]}`;
};

/** Go's %.<digits>g for numbers from 0 to a few thousand. */
const formatG = (value: number, digits: number): string => {
  const text = value.toPrecision(digits);
  if (text.includes('e')) {
    return Number(text)
      .toExponential()
      .replace(/e\+(\d)$/, 'e+0$1');
  }
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
};
