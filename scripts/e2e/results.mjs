// What a test of the suite came to, read from Go's test output.

/** { outcome: 'pass' | 'skip' | 'fail' | 'late', cause }. */
export const readResult = (log, isLate) => {
  if (isLate || /^panic: test timed out/m.test(log)) {
    return { outcome: 'late', cause: lastStep(log) };
  }
  if (/^--- PASS/m.test(log)) {
    return { outcome: 'pass', cause: '' };
  }
  if (/^--- SKIP/m.test(log)) {
    return { outcome: 'skip', cause: /^ +\w+\.go:\d+: (.*)\n--- SKIP/m.exec(log)?.[1] ?? firstFailure(log) };
  }
  return { outcome: 'fail', cause: firstFailure(log) };
};

const CAUSES = [
  /^\s*failure: (.*)/m,
  /^ +\S+\.go:\d+: (assertion failed: (?:.|\n)*?)\n(?= +\S+\.go:|\S|$)/m,
  /^ +\S+\.go:\d+: ((?:timeout hit|.*fail|.*expected|.*not ).*)/m,
];

const MOST = 260;

const firstFailure = (whole) => {
  const log = whole.replace(/^.*WARNING: docker-compose cli-plugin not found\n/gm, '');
  const found = CAUSES.map((cause) => cause.exec(log)?.[1]).find(Boolean) ?? 'no reason found in its log';
  const hypr = /^ *(?:Error:|error:|hypr:) .*/m.exec(log.slice(Math.max(0, log.indexOf(found))))?.[0]?.trim();
  return shorten(hypr === undefined ? found : `${found} | ${hypr}`);
};

const lastStep = (log) => shorten(log.match(/^ +\S+\.go:\d+: (?:step|Running command): .*/gm)?.at(-1) ?? 'it never began');

const shorten = (text) => {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > MOST ? `${line.slice(0, MOST)}…` : line;
};

export const describe = ({ name, outcome, cause, seconds }) =>
  `${outcome.padEnd(5)} ${String(seconds).padStart(4)} s  ${name}  ${cause}`.trimEnd();

export const printTable = (rows) => {
  process.stdout.write(`\n${rows.map((row) => `${describe(row)}\n`).join('')}\n`);
  const count = (wanted) => rows.filter(({ outcome }) => outcome === wanted).length;
  process.stdout.write(
    `${rows.length} tests: ${['pass', 'fail', 'late', 'skip'].map((outcome) => `${count(outcome)} ${outcome}`).join(', ')}\n`,
  );
};
