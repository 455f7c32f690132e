import { SyntaxFault } from './errors.ts';

const UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, μs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** A Go duration (`1m30s`, `0`, `1.5h`) in nanoseconds. Throws SyntaxFault. */
export const parseDuration = (text: string): number => {
  const unsigned = text.replace(/^[+-]/, '');
  if (unsigned === '0') {
    return 0;
  }
  let total = 0;
  let rest = unsigned;
  while (rest !== '') {
    const match = /^(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/.exec(rest);
    if (match === null) {
      break;
    }
    total += Number(match[1]) * (UNITS[match[2] ?? ''] ?? 0);
    rest = rest.slice(match[0].length);
  }
  if (unsigned === '' || rest !== '') {
    throw new SyntaxFault(`time: invalid duration ${JSON.stringify(text)}`);
  }
  return Math.round(text.startsWith('-') ? -total : total);
};
