export { ago, humanDuration } from '../../engine/docker/shapes/durations.ts';

const SECOND = 1000;

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
