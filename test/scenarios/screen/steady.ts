const BARS = /[▁▂▃▄▅▆▇█]+ ?/g;

/** The rows of a screen without what no two runs have alike: times, use, and the state that a crash loop is in just now. */
export const steady = (rows: readonly string[]): string[] =>
  rows.map((row) =>
    row
      .replace(BARS, '')
      .replace(/\d+(\/\d+ running)/, 'N$1')
      .replace(/\[\+\] .*$/, '[+] …')
      .replace(/ *\d+% [\d.]+[KMG]iB/g, ' USE')
      .replace(/(worker-1 +)(?:restarting|starting|up \d+s)( exit 3)? ×\d+/, '$1LOOP')
      .replace(/\d+ restarts?/g, 'N restarts')
      .replace(/(?:restarting|up) \(3\)|, N restarts/g, 'LOOP')
      .replace(/\bbooted in .*$/, 'booted in …')
      .replace(/\b\d+(?:\.\d+)?(?:ms|s|m|h)\b/g, 'TIME')
      .replace(/:\d{4,5}\b/g, ':PORT')
      .replace(/ {2,}/g, '  ')
      .trimEnd(),
  );
