import { LIMITS, limitError } from '../model/limits.ts';
import { errorAt, type Mark, SourceFile } from '../source/source.ts';
import { type Lookup, substitute, TemplateError } from './template.ts';

/** Lookups and callbacks while an env file is read. */
export interface DotenvOptions {
  /** Variables from earlier files. */
  readonly fallback?: Lookup;
  /** Called for a variable in a value that is not set anywhere. */
  readonly onUnset?: (name: string, mark: Mark) => void;
  readonly onValue?: (name: string, value: string, mark: Mark) => void;
}

/**
 * Parses an env file: `K=v`, `K: v`, `export K=v`, bare `K` (inherited), quotes over several lines, comments. Variables
 * in values are looked up in `lookup`, then among the file's earlier lines, then in `fallback`.
 * @throws COMPOSE_ENV_FILE with line and caret
 */
export const parseDotenv = (source: SourceFile, lookup: Lookup, options: DotenvOptions = {}): Map<string, string> => {
  refuseManyLines(source);
  const text = source.text.replaceAll('\r\n', '\n');
  const out = new Map<string, string>();
  const scanner: Scanner = {
    text,
    at: 0,
    source: new SourceFile(source.path, text),
    lookup: (name) => lookup(name) ?? out.get(name) ?? options.fallback?.(name),
    options,
  };
  while (skipToStatement(scanner)) {
    const start = scanner.at;
    const { key, inherited } = readKey(scanner);
    const value = inherited ? scanner.lookup(key) : readValue(scanner);
    if (value !== undefined) {
      out.set(key, value);
      options.onValue?.(key, value, { source: scanner.source, offset: start });
    }
  }
  return out;
};

/** `format: raw`: each line is KEY=VALUE, taken as it is. */
export const parseRawEnv = (source: SourceFile, lookup: Lookup): Map<string, string> => {
  refuseManyLines(source);
  const out = new Map<string, string>();
  for (const line of source.text.split(/\r?\n/)) {
    const trimmed = line.trimStart();
    if (trimmed === '' || trimmed.startsWith('#')) {
      continue;
    }
    const equals = trimmed.indexOf('=');
    const key = equals === -1 ? trimmed.trimEnd() : trimmed.slice(0, equals);
    if (/\s/.test(key)) {
      throw errorAt('COMPOSE_ENV_FILE', `the variable name "${key}" contains a space`, {
        mark: { source, offset: source.text.indexOf(trimmed) },
        hint: 'lines of a raw env file are NAME=value',
      });
    }
    const value = equals === -1 ? lookup(key) : trimmed.slice(equals + 1);
    if (value !== undefined) {
      out.set(key, value);
    }
  }
  return out;
};

const refuseManyLines = (source: SourceFile): void => {
  let lines = 0;
  for (let at = source.text.indexOf('\n'); at !== -1; at = source.text.indexOf('\n', at + 1)) {
    lines += 1;
    if (lines > LIMITS.envLines) {
      throw limitError(`${source.path} has more than ${LIMITS.envLines} lines`, { source, offset: at });
    }
  }
};

interface Scanner {
  readonly text: string;
  readonly source: SourceFile;
  readonly lookup: Lookup;
  readonly options: DotenvOptions;
  at: number;
}

/** Moves to the next statement, over blank lines and comments; false at the end. */
const skipToStatement = (scanner: Scanner): boolean => {
  for (;;) {
    SPACE.lastIndex = scanner.at;
    scanner.at += SPACE.exec(scanner.text)?.[0].length ?? 0;
    if (scanner.at >= scanner.text.length) {
      return false;
    }
    if (scanner.text[scanner.at] !== '#') {
      return true;
    }
    const end = scanner.text.indexOf('\n', scanner.at);
    scanner.at = end === -1 ? scanner.text.length : end;
  }
};

const readKey = (scanner: Scanner): { key: string; inherited: boolean } => {
  EXPORT.lastIndex = scanner.at;
  scanner.at += EXPORT.exec(scanner.text)?.[0].length ?? 0;
  const start = scanner.at;
  KEY.lastIndex = start;
  const key = KEY.exec(scanner.text)?.[0] ?? '';
  const end = start + key.length;
  const next = scanner.text[end];
  if (next !== undefined && next !== '=' && next !== ':' && next !== '\n') {
    throw fail(scanner, end, `unexpected character "${next}" in a variable name`);
  }
  const name = key.trimEnd();
  if (name === '') {
    throw fail(scanner, start, 'a variable name is missing');
  }
  if (/\s/.test(name)) {
    throw fail(scanner, start, `the key "${name}" contains a space`);
  }
  scanner.at = end + 1;
  if (next !== '\n') {
    BLANK.lastIndex = scanner.at;
    scanner.at += BLANK.exec(scanner.text)?.[0].length ?? 0;
  }
  return { key: name, inherited: next === '\n' || next === undefined };
};

const readValue = (scanner: Scanner): string => {
  const quote = scanner.text[scanner.at];
  if (quote === '"' || quote === "'") {
    return readQuoted(scanner, quote);
  }
  const start = scanner.at;
  const end = scanner.text.indexOf('\n', start);
  scanner.at = end === -1 ? scanner.text.length : end + 1;
  const line = scanner.text.slice(start, end === -1 ? undefined : end);
  const comment = line.indexOf(' #');
  return expand(scanner, start, (comment === -1 ? line : line.slice(0, comment)).trimEnd());
};

const readQuoted = (scanner: Scanner, quote: string): string => {
  const start = scanner.at;
  const pieces: string[] = [];
  let from = start + 1;
  for (let at = from; at < scanner.text.length; at++) {
    const char = scanner.text[at];
    if (char === '\\') {
      at += 1;
      if (scanner.text[at] === quote) {
        pieces.push(scanner.text.slice(from, at - 1));
        from = at;
      }
    } else if (char === quote) {
      pieces.push(scanner.text.slice(from, at));
      scanner.at = at + 1;
      const value = pieces.join('');
      return quote === '"' ? expand(scanner, start, unescapeText(value)) : value;
    }
  }
  throw fail(scanner, start, 'the quoted value has no closing quote');
};

const expand = (scanner: Scanner, offset: number, value: string): string => {
  try {
    return substitute(value, {
      lookup: scanner.lookup,
      onUnset: (name) => scanner.options.onUnset?.(name, { source: scanner.source, offset }),
    });
  } catch (error) {
    if (error instanceof TemplateError && error.kind === 'limit') {
      throw limitError(error.message, { source: scanner.source, offset });
    }
    if (error instanceof TemplateError) {
      throw fail(scanner, offset, error.message);
    }
    throw error;
  }
};

const unescapeText = (value: string): string =>
  value.replace(/\\(?:0\d{0,3}|[abfnrtv$"\\])/g, (sequence) => {
    const char = sequence[1] ?? '';
    if (char === '0') {
      const octal = sequence.slice(2);
      return /^[0-7]{3}$/.test(octal) && Number.parseInt(octal, 8) < 256 ? String.fromCharCode(Number.parseInt(octal, 8)) : sequence;
    }
    return ESCAPES[char] ?? sequence;
  });

const fail = (scanner: Scanner, offset: number, message: string) =>
  errorAt('COMPOSE_ENV_FILE', message, {
    mark: { source: scanner.source, offset: Math.min(offset, scanner.text.length) },
    hint: 'lines of an env file are NAME=value; quote values with spaces or #',
  });

const ESCAPES: Record<string, string> = { a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', $: '$$', '"': '"', '\\': '\\' };
const SPACE = /\s*/y;
const BLANK = /[^\S\n]*/y;
const EXPORT = /export[^\S\n]+/y;
const KEY = /(?:[\p{L}\p{N}_.[\]-]|[^\S\n])*/uy;
