import { readMoment } from '../../../base/moment.ts';
import { compilePattern } from '../../../base/pattern/compile.ts';
import { PatternFault } from '../../../base/pattern/parts.ts';
import { ApiError, notHere } from './errors.ts';
import type { Query } from './query.ts';

type Judge<T> =
  | ((thing: T, value: string) => boolean)
  /** Makes the predicate of a value once, before there is anything to judge. */
  | { readonly prepare: (value: string) => (thing: T) => boolean };

/** The judge for each key of `filters`. */
export type Judges<T> = Readonly<Record<string, Judge<T>>>;
/** For a key, what throws 400 for a value that means nothing. Asked before anything is judged, so also where there is nothing to judge. */
export type Checks = Readonly<Record<string, (value: string) => unknown>>;

/**
 * `filters={"label":["a=b"],"status":{"running":true}}`: values of one key are alternatives (except labels), all keys have to match.
 * Throws 400 for a key that has no judge, for a value that means nothing, for two of which one alone can be, and for what is no such JSON.
 */
export const compileFilters = <T>(query: Query, judges: Judges<T>, checks: Checks = {}): ((thing: T) => boolean) => {
  const wanted = readFilters(query);
  checkFilters(wanted, Object.keys(judges), { ...CHECKS, ...checks });
  const compiled = Object.entries(wanted).map(([key, values]) => [key, values.map((value) => prepare(judges[key], value))] as const);
  return (thing) =>
    compiled.every(([key, all]) =>
      ALL_HOLD.has(key) ? all.every((holds) => holds(thing)) : all.length === 0 || all.some((holds) => holds(thing)),
    );
};

const prepare = <T>(judge: Judge<T> | undefined, value: string): ((thing: T) => boolean) =>
  judge === undefined ? () => false : typeof judge === 'function' ? (thing) => judge(thing, value) : judge.prepare(value);

const ALL_HOLD: ReadonlySet<string> = new Set(['label', 'label!']);

const checkFilters = (wanted: Readonly<Record<string, readonly string[]>>, known: readonly string[], checks: Checks): void => {
  for (const [key, values] of Object.entries(wanted)) {
    if (!known.includes(key)) {
      throw new ApiError(400, `invalid filter '${key}'`);
    }
    if (values.length > 1 && ONE_ALONE.has(key)) {
      throw new ApiError(400, `more than one ${key} filter specified`);
    }
    for (const value of values) {
      checks[key]?.(value);
    }
  }
};

const ONE_ALONE: ReadonlySet<string> = new Set(['until', 'unused-for', 'dangling', 'all']);

/** What every `prune` knows of labels: `label`, and with the reverse sense `label!`. */
export const labelJudges = <T>(labelsOf: (thing: T) => Readonly<Record<string, string>>): Judges<T> => ({
  label: (thing, value) => hasLabel(labelsOf(thing), value),
  'label!': (thing, value) => !hasLabel(labelsOf(thing), value),
});

/** Each key with its values; the older form has them as keys of an object. */
export const readFilters = (query: Query): Readonly<Record<string, readonly string[]>> => {
  const given = query.json('filters') ?? {};
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new ApiError(400, 'filters have to be an object of lists');
  }
  return Object.fromEntries(
    Object.entries(given).map(([key, value]) => {
      const list = Array.isArray(value) ? value : Object.entries(Object(value)).flatMap(([name, on]) => (on === true ? [name] : []));
      return [key, list.map(String)];
    }),
  );
};

/**
 * `until` of build data, in milliseconds since the epoch. Throws 400 as `compileFilters`, and 501 for a filter that docker has and that would be
 * passed over: what it should keep would be removed.
 */
export const buildFilter = (query: Query): number | undefined => {
  const wanted = readFilters(query);
  checkFilters(wanted, ['until', UNUSED_FOR, ...OF_BUILD_RECORDS], CHECKS);
  if (wanted.until !== undefined && wanted[UNUSED_FOR] !== undefined) {
    throw new ApiError(400, `conflicting filters: "until" and "${UNUSED_FOR}"`);
  }
  const key = Object.keys(wanted).find((each) => OF_BUILD_RECORDS.includes(each));
  if (key !== undefined) {
    throw notHere(`docker builder prune with the filter '${key}'`, 'remove what is older than a time: --filter until=24h');
  }
  const [until] = wanted.until ?? wanted[UNUSED_FOR] ?? [];
  return until === undefined ? undefined : untilOf(until);
};

/** docker's older word for `until`. */
const UNUSED_FOR = 'unused-for';
/** Of single records, which hypr's cache has not. */
const OF_BUILD_RECORDS = ['id', 'parent', 'type', 'description', 'inuse', 'shared', 'private'];

/** A filter `until` in milliseconds since the epoch: a duration before now, seconds since the epoch, or a time as in RFC 3339. Throws 400. */
export const untilOf = (value: string): number => {
  const moment = readMoment(value, Date.now());
  if (moment === undefined) {
    throw new ApiError(400, `invalid filter 'until': "${value}" is neither a duration nor a time`);
  }
  return moment;
};

/** `KEY` or `KEY=VALUE`. */
export const hasLabel = (labels: Readonly<Record<string, string>>, wanted: string): boolean => {
  const [key = '', ...rest] = wanted.split('=');
  return Object.hasOwn(labels, key) && (rest.length === 0 || labels[key] === rest.join('='));
};

/** The filter `name`: a pattern of Go's, found anywhere in the name, with or without the slash that docker writes before it. Throws 400 for what is none. */
export const nameJudge = <T>(nameOf: (thing: T) => string): Judge<T> => ({
  prepare: (value) => {
    const finds = patternOf(value);
    return (thing) => finds(nameOf(thing)) || finds(`/${nameOf(thing)}`);
  },
});

const patternOf = (value: string): ((text: string) => boolean) => {
  try {
    return compilePattern(value);
  } catch (error) {
    throw error instanceof PatternFault ? new ApiError(400, `invalid filter 'name': ${error.message}`) : error;
  }
};

/** `*` stands for anything but a slash. Each piece is looked for once: a regular expression would try all ways for `*a*a*a*a`. */
export const matchesGlob = (text: string, glob: string): boolean => {
  const [texts, globs] = [text.split('/'), glob.split('/')];
  return texts.length === globs.length && globs.every((each, index) => matchesPieces(texts[index] ?? '', each.split('*')));
};

const matchesPieces = (text: string, [first = '', ...others]: readonly string[]): boolean => {
  const last = others.pop();
  if (last === undefined) {
    return text === first;
  }
  const end = text.length - last.length;
  let at = first.length;
  for (const piece of others) {
    const found = text.indexOf(piece, at);
    if (found < 0) {
      return false;
    }
    at = found + piece.length;
  }
  return text.startsWith(first) && text.endsWith(last) && at <= end;
};

/** Throws 400 for what is neither true nor false. */
export const isYes = (value: string): boolean => {
  if (!/^(true|false|1|0)$/i.test(value)) {
    throw new ApiError(400, `invalid filter value "${value}": neither true nor false`);
  }
  return /^(true|1)$/i.test(value);
};

/** Values that mean the same wherever they are. */
const CHECKS: Checks = {
  until: untilOf,
  'unused-for': untilOf,
  dangling: isYes,
  all: isYes,
  'is-task': isYes,
};
