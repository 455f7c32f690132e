import type { KeyBinding } from './keys.ts';

/** The actions whose name or text has all words, those whose name begins with the first word first. */
export const matchingEntries = (bindings: readonly KeyBinding[], input: string): KeyBinding[] => {
  const words = input.toLowerCase().split(/\s+/).filter(Boolean);
  const found = bindings.filter(({ action, text }) => words.every((word) => `${action} ${text}`.toLowerCase().includes(word)));
  const [first] = words;
  const rank = ({ action }: KeyBinding): number => (first !== undefined && action.toLowerCase().startsWith(first) ? 0 : 1);
  return found.sort((a, b) => rank(a) - rank(b));
};
