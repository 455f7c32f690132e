const BARS = /[▁▂▃▄▅▆▇█]+ ?/g;

/**
 * The rows of a screen without what no two runs have alike: times, use, what was drawn just before or after, and the state that a crash loop
 * is in just now.
 */
export const steady = (rows: readonly string[]): string[] =>
  rows.map((row) =>
    row
      .replace(BARS, '')
      .replace(/\d+(\/\d+ running)/, 'N$1')
      .replace(/ *\[\+\] .*$/, '')
      .replace(/ *\d+% [\d.]+[KMG]iB/g, '')
      .replace(/(worker-1 +)(?:restarting|starting|up \d+s|created)(?: exit 3)?(?: ×\d+)?/, '$1LOOP')
      .replace(/(worker-1 +)\S.*restarts?.*$/, '$1LOOP')
      .replace(/↓ \d+ new/, '↓ N new')
      .replace(/sha256:[0-9a-f]+…?/g, 'sha256:ID')
      .replace(/^BusyBox v.*/, 'BusyBox …')
      .replace(/ *\bbooted in .*$/, '')
      .replace(/\b\d+(?:\.\d+)?(?:ms|s|m|h)\b/g, 'TIME')
      .replace(/ +│/g, ' │')
      .replace(/ {2,}/g, '  ')
      .trimEnd(),
  );
