import { SyntaxFault } from './errors.ts';
import { didYouMean } from './suggest.ts';

export type FlagType = 'string' | 'bool' | 'strings';

export interface FlagValues {
  text(name: string): string | undefined;
  flag(name: string): boolean | undefined;
  list(name: string): readonly string[];
}

/** Parses `--name=value` flags by a table. Throws SyntaxFault with BuildKit's message. */
export const readFlags = (flags: readonly string[], table: Readonly<Record<string, FlagType>>): FlagValues => {
  const values = new Map<string, string[]>();
  for (const flag of flags) {
    const [name, value] = splitFlag(flag);
    const type = Object.hasOwn(table, name) ? table[name] : undefined;
    if (type === undefined) {
      throw new SyntaxFault(`unknown flag: --${name}${didYouMean(name, Object.keys(table))}`);
    }
    const before = values.get(name) ?? [];
    if (before.length > 0 && type !== 'strings') {
      throw new SyntaxFault(`duplicate flag specified: ${name}`);
    }
    values.set(name, [...before, readValue(name, value, type)]);
  }
  return {
    text: (name) => values.get(name)?.[0],
    flag: (name) => (values.has(name) ? values.get(name)?.[0] === 'true' : undefined),
    list: (name) => values.get(name) ?? [],
  };
};

const splitFlag = (flag: string): [string, string | undefined] => {
  const at = flag.indexOf('=');
  return at < 0 ? [flag.slice(2), undefined] : [flag.slice(2, at), flag.slice(at + 1)];
};

const readValue = (name: string, value: string | undefined, type: FlagType): string => {
  if (type !== 'bool') {
    if (value === undefined) {
      throw new SyntaxFault(`missing a value on flag: ${name}`);
    }
    return value;
  }
  const lower = value?.toLowerCase() ?? 'true';
  if (lower !== 'true' && lower !== 'false') {
    throw new SyntaxFault(`expecting boolean value for flag ${name}, not: ${value}`);
  }
  return lower;
};
