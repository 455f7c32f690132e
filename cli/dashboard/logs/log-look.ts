import { clockTime } from '../../format/time.ts';

export type Level = 'error' | 'warn' | 'info' | 'debug';

const MAX_JSON = 16_384;
/** Levels stand near the beginning of a line; further on they are words of a message. */
const HEAD = 120;

/** The words that programs use, by level. */
const WORDS: ReadonlyArray<readonly [Level, string]> = [
  ['error', 'emerg|emergency|alert|panic|fatal|critical|crit|severe|error|err'],
  ['warn', 'warning|warn'],
  ['debug', 'debug|trace|verbose|finest|finer|fine'],
  ['info', 'info|notice|information|log'],
];

/** `ERROR`, `[error]`, `level=error`, `Error:` at the beginning: not `error` in the middle of a sentence. */
const PLAIN = WORDS.map(([level, words]) => {
  const upper = words.toUpperCase();
  return [
    level,
    new RegExp(`(^|[^\\w-])(${upper})([^\\w-]|$)|[[(<](${words})[\\])>]|\\blevel[=:] ?"?(${words})\\b`),
    new RegExp(`^\\s*(\\w+)?(${words}):`, 'i'),
  ] as const;
});

/** pino's and bunyan's numbers. */
const fromNumber = (level: number): Level => (level >= 50 ? 'error' : level >= 40 ? 'warn' : level >= 30 ? 'info' : 'debug');

/** How bad a line is, by the word or the JSON member that says it; undefined: it does not say. */
export const levelOf = (line: string): Level | undefined => {
  const record = parseRecord(line);
  if (record !== undefined) {
    const value = record.level ?? record.severity ?? record.lvl ?? record.levelname ?? record.log_level;
    return typeof value === 'number'
      ? fromNumber(value)
      : WORDS.find(([, words]) => words.split('|').includes(String(value).toLowerCase()))?.[0];
  }
  const head = line.slice(0, HEAD);
  return PLAIN.find(([, anywhere, first]) => anywhere.test(head) || first.test(head))?.[0];
};

const parseRecord = (line: string): Readonly<Record<string, unknown>> | undefined => {
  const text = line.trim();
  if (!text.startsWith('{') || !text.endsWith('}') || text.length > MAX_JSON) {
    return undefined;
  }
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
};

const SHOWN_FIRST = new Set([
  'level',
  'severity',
  'lvl',
  'levelname',
  'log_level',
  'msg',
  'message',
  'time',
  'timestamp',
  'ts',
  '@timestamp',
]);

/** A JSON line as people read it: `12:03:04 ERROR no database  host=db port=5432`; undefined where it is no object of JSON. */
export const readable = (line: string): string | undefined => {
  const record = parseRecord(line);
  if (record === undefined) {
    return undefined;
  }
  const level = levelOf(line);
  const message = record.msg ?? record.message;
  const rest = Object.entries(record)
    .filter(([key]) => !SHOWN_FIRST.has(key))
    .map(([key, value]) => `${key}=${shownValue(value)}`);
  const first = [timeOf(record), level?.toUpperCase(), message === undefined ? undefined : shownValue(message)];
  return [first.filter((part) => part !== undefined).join(' '), ...rest].filter((part) => part !== '').join('  ');
};

const shownValue = (value: unknown): string => (typeof value === 'string' ? value.replace(/\s*\n\s*/g, ' ⏎ ') : JSON.stringify(value));

const timeOf = (record: Readonly<Record<string, unknown>>): string | undefined => {
  const value = record.time ?? record.timestamp ?? record.ts ?? record['@timestamp'];
  if (typeof value !== 'string' && typeof value !== 'number') {
    return undefined;
  }
  // Seconds, as zap and logrus have them, or milliseconds.
  const ms = typeof value === 'number' ? (value < 1e11 ? value * 1000 : value) : Date.parse(value);
  return Number.isNaN(ms) ? undefined : clockTime(ms);
};
