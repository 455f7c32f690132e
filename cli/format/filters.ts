import { HyprError } from '../../base/errors.ts';
import { compilePattern } from '../../base/pattern/compile.ts';
import { parseMoment } from './time.ts';

type Judge<T> =
  | ((thing: T, value: string) => boolean)
  /** Makes the predicate of a value once, before there is anything to judge. */
  | { readonly prepare: (value: string) => (thing: T) => boolean };

/** The predicate for each key of `--filter KEY=VALUE`. */
export type Judges<T> = Readonly<Record<string, Judge<T>>>;

/** As docker: values of one key are alternatives (except those of `label` and `label!`), and all keys have to match. Throws HYPR_USAGE for an unknown key. */
export const compileFilters = <T>(filters: readonly string[], judges: Judges<T>): ((thing: T) => boolean) => {
  const wanted = new Map<string, Array<(thing: T) => boolean>>();
  for (const filter of filters) {
    const [, key = '', value = ''] = /^([^=]+)=(.*)$/s.exec(filter) ?? [];
    const judge = Object.hasOwn(judges, key) ? judges[key] : undefined;
    if (judge === undefined) {
      throw new HyprError('HYPR_USAGE', `invalid filter '${filter.split('=')[0]}': --filter does not know "${filter}"`, {
        hint: `filters are ${Object.keys(judges)
          .map((name) => `${name}=…`)
          .join(', ')}`,
      });
    }
    const holds = typeof judge === 'function' ? (thing: T): boolean => judge(thing, value) : judge.prepare(value);
    wanted.set(key, [...(wanted.get(key) ?? []), holds]);
  }
  return (thing) =>
    [...wanted].every(([key, all]) =>
      key === 'label' || key === 'label!' ? all.every((holds) => holds(thing)) : all.some((holds) => holds(thing)),
    );
};

/** The filter `name`, as docker: any part of the name, or a pattern such as `^name$`, with or without a slash before the name. Throws HYPR_USAGE. */
export const nameJudge = <T>(nameOf: (thing: T) => string): Judge<T> => ({
  prepare: (value) => {
    const finds = namePattern(value);
    return (thing) => finds(nameOf(thing)) || finds(`/${nameOf(thing)}`);
  },
});

/** Throws HYPR_USAGE. */
export const namePattern = (text: string): ((name: string) => boolean) => {
  try {
    return compilePattern(text);
  } catch (error) {
    throw new HyprError('HYPR_USAGE', `--filter: "${text}" is not a regular expression: ${(error as Error).message}`);
  }
};

/** What every `prune` of docker's knows of labels. */
export const labelJudges = <T>(labelsOf: (thing: T) => Readonly<Record<string, string>>): Judges<T> => ({
  label: (thing, value) => hasLabel(labelsOf(thing), value),
  'label!': (thing, value) => !hasLabel(labelsOf(thing), value),
});

/** `until` of docker's `prune`: what was made before a time, or longer ago than a duration. Throws HYPR_USAGE at once for what is neither, and for several. */
export const untilJudge = <T>(filters: readonly string[], now: number, createdOf: (thing: T) => number): Judges<T> => {
  const values = filters.filter((filter) => filter.startsWith('until=')).map((filter) => filter.slice('until='.length));
  if (new Set(values).size > 1) {
    throw new HyprError('HYPR_USAGE', 'more than one until filter specified');
  }
  const limits = new Map(values.map((value) => [value, parseMoment(value, { flag: 'filter until', now })]));
  return { until: (thing, value) => createdOf(thing) < (limits.get(value) ?? 0) };
};

/** `KEY` or `KEY=VALUE`. */
export const hasLabel = (labels: Readonly<Record<string, string>>, wanted: string): boolean => {
  const [key = '', ...rest] = wanted.split('=');
  return Object.hasOwn(labels, key) && (rest.length === 0 || labels[key] === rest.join('='));
};

/** `true` and `1` are yes, `false` and `0` no; throws HYPR_USAGE for anything else. */
export const isYes = (value: string): boolean => {
  if (!/^(true|false|1|0)$/.test(value)) {
    throw new HyprError('HYPR_USAGE', `--filter: "${value}" is neither true nor false`);
  }
  return value === 'true' || value === '1';
};

export const labelText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');

/** `KEY=VALUE`, as `--label` has them; a label may be a key alone. Throws HYPR_USAGE for what has no key, or one with space in it, as docker does. */
export const parseLabels = (labels: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    labels.map((label) => {
      const [key = '', ...rest] = label.split('=');
      if (key.trim() === '' || /\s/.test(key.trimStart())) {
        throw new HyprError(
          'HYPR_USAGE',
          `"${label}" is not KEY=VALUE: ${key.trim() === '' ? 'it has no key' : 'its key has space in it'}`,
        );
      }
      return [key, rest.join('=')];
    }),
  );

/** `NAME=VALUE`, both of which must be there. Throws HYPR_USAGE. */
export const parsePairs = (pairs: readonly string[], flag: string): Record<string, string> => {
  const bare = pairs.find((pair) => !/^[^=]+=./s.test(pair));
  if (bare !== undefined) {
    throw new HyprError('HYPR_USAGE', `--${flag}: "${bare}" is not NAME=VALUE`);
  }
  return parseLabels(pairs);
};
