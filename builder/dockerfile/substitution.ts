import { matchPrefixLengths, reverseText } from './shell-pattern.ts';

/** Why a word could not be expanded; the caller adds the position. */
export class ExpandError extends Error {
  override readonly name = 'ExpandError';
}

/** `${x:-w} ${x-w} ${x:+w} ${x+w} ${x:?m} ${x?m}` (POSIX shell, 2.6.2). Throws ExpandError where a value is demanded. */
export const chooseValue = (part: {
  name: string;
  value: string | undefined;
  modifier: string;
  word: string;
  nullIsUnset: boolean;
}): string => {
  const { name, value, modifier, word, nullIsUnset } = part;
  const missing = value === undefined || (nullIsUnset && value === '');
  if (modifier === '-') {
    return missing ? word : value;
  }
  if (modifier === '+') {
    return missing ? '' : word;
  }
  if (missing) {
    const state = value === undefined ? 'unset' : 'empty';
    throw new ExpandError(`${name}: ${word === '' ? `is not allowed to be ${state}` : word}`);
  }
  return value;
};

/** `#` and `%` remove the shortest match, `##` and `%%` the longest. */
export const trimPattern = (value: string, modifier: string, word: string): string => {
  const longest = word.startsWith(modifier);
  const pattern = longest ? word.slice(1) : word;
  const text = modifier === '#' ? value : reverseText(value);
  const lengths = matchPrefixLengths(text, pattern, modifier === '%');
  const length = longest ? lengths.at(-1) : lengths[0];
  const rest = length === undefined ? text : Array.from(text).slice(length).join('');
  return modifier === '#' ? rest : reverseText(rest);
};
