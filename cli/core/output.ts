import { stripVTControlCharacters } from 'node:util';
import type { CliContext, OutputStream } from './context.ts';

/** How narrow a column of text may become before it gets lines of its own. */
const LEAST_TEXT = 24;
const OWN_LINE_INDENT = 8;

/** Writes and waits until a slow reader has caught up. */
export const writeOut = (stream: OutputStream, data: string | Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    if (stream.write(data)) {
      resolve();
    } else {
      stream.once('drain', resolve);
    }
  });

/** Resolves when everything written so far has left the process. */
export const flush = (stream: OutputStream): Promise<void> => new Promise((resolve) => stream.write('', () => resolve()));

/** A message for people, beside the data. */
export const say = (context: Pick<CliContext, 'stderr'>, text: string): void => {
  context.stderr.write(foldFor(context.stderr, `${text}\n`));
};

/** A warning on stderr, folded on a terminal. `text` is clean already. */
export const warn = (stderr: OutputStream & { readonly columns?: number }, text: string): void => {
  stderr.write(foldFor(stderr, `warning: ${text}\n`));
};

/** For a terminal the text folded as by `foldText`; for a program as it is. */
export const foldFor = (stream: { readonly isTTY?: boolean; readonly columns?: number }, text: string): string =>
  stream.isTTY === true && stream.columns !== undefined ? foldText(text, stream.columns) : text;

/** Folds the lines of a text at words, so that none is wider than `columns`; what stands in a second column stays in it. */
export const foldText = (text: string, columns: number): string =>
  text
    .split('\n')
    .flatMap((line) => (lengthOf(line) <= columns ? [line] : foldLine(line, columns)))
    .join('\n');

const foldLine = (line: string, columns: number): string[] => {
  const [, term, rest] = /^(\s*\S.*?\s{2,})(\S.*)$/.exec(line) ?? [];
  if (term === undefined || rest === undefined) {
    return foldIndented(line, columns);
  }
  return columns - term.length >= LEAST_TEXT
    ? foldWords(rest, { columns, first: term, indent: term.length })
    : [term.trimEnd(), ...foldWords(rest, { columns, first: ' '.repeat(OWN_LINE_INDENT), indent: OWN_LINE_INDENT })];
};

/** A line at words; what goes on below it is two columns further in than it is. */
export const foldIndented = (line: string, columns: number): string[] => {
  const indent = line.length - line.trimStart().length;
  return foldWords(line.trimStart(), { columns, first: ' '.repeat(indent), indent: indent + 2 });
};

/** Words in lines of at most `columns`, the first after `first`, the others after so many blanks. A longer word has a line of its own. */
export const foldWords = (
  text: string,
  { columns, first, indent }: { readonly columns: number; readonly first: string; readonly indent: number },
): string[] => {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of text.split(' ')) {
    if (!isEmpty && lengthOf(line) + 1 + lengthOf(word) > columns) {
      lines.push(line);
      line = ' '.repeat(indent) + word;
    } else {
      line += isEmpty ? word : ` ${word}`;
    }
    isEmpty = false;
  }
  return [...lines, line];
};

const lengthOf = (text: string): number => (text.includes('\u001b') ? stripVTControlCharacters(text) : text).length;
