import { ExpandError, expandWords } from './expand.ts';
import type { Heredoc } from './instruction.ts';

/** The opening of a heredoc; its body comes on the following lines. */
export type HeredocHead = Omit<Heredoc, 'content' | 'written'>;

/** All heredocs that a logical line opens, in order. */
export const readHeredocHeads = (line: string): HeredocHead[] => {
  const heads: HeredocHead[] = [];
  for (const word of splitRaw(line)) {
    const head = parseHeredocWord(word);
    if (head !== undefined) {
      heads.push(head);
    }
  }
  return heads;
};

/** Parses `3<<-"EOF"`, the start of a heredoc; undefined for other words. */
export const parseHeredocWord = (word: string): HeredocHead | undefined => {
  const match = /^(\d*)<<(-?)\s*([^<]*)$/.exec(word);
  const rest = match?.[3] ?? '';
  if (match === null || rest === '') {
    return undefined;
  }
  // With a quote anywhere in the word the two expansions differ.
  const plain = splitQuietly(rest, { keepUnset: true });
  const raw = splitRaw(rest);
  const name = plain[0];
  if (plain.length !== 1 || raw.length !== 1 || name === undefined) {
    return undefined;
  }
  return { name, fd: Number(match[1] || 0), expand: name === raw[0], chomp: match[2] === '-' };
};

export const chompTabs = (text: string): string => text.replace(/^\t+/gm, '');

const splitRaw = (text: string): string[] => splitQuietly(text, { rawQuotes: true, rawEscapes: true, keepUnset: true });

/** A line with unmatched quotes has no heredocs: the shell reports it, not the parser. */
const splitQuietly = (text: string, options: Parameters<typeof expandWords>[2]): string[] => {
  try {
    return expandWords(text, () => undefined, options);
  } catch (error) {
    if (error instanceof ExpandError) {
      return [];
    }
    throw error;
  }
};
