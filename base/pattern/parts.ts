/** What a pattern consists of. */
export type Ast =
  | { readonly kind: 'char'; readonly accepts: (char: string) => boolean }
  /** A condition on the characters before and after a place; undefined at the ends. */
  | { readonly kind: 'at'; readonly holds: (before: string | undefined, after: string | undefined) => boolean }
  | { readonly kind: 'all' | 'any'; readonly parts: readonly Ast[] }
  /** `most` absent: as often as there is. */
  | { readonly kind: 'repeat'; readonly part: Ast; readonly least: number; readonly most: number | undefined };

/** A pattern that Go would not compile; its message is Go's. */
export class PatternFault extends Error {
  constructor(what: string, piece: string) {
    super(`error parsing regexp: ${what}: \`${piece}\``);
    this.name = 'PatternFault';
  }
}

export const codeOf = (char: string): number => char.codePointAt(0) ?? 0;

const isWord = (char: string | undefined): boolean => char !== undefined && /^\w$/.test(char);

export const TEXT_START: Ast = { kind: 'at', holds: (before) => before === undefined };
export const TEXT_END: Ast = { kind: 'at', holds: (_, after) => after === undefined };
export const LINE_START: Ast = { kind: 'at', holds: (before) => before === undefined || before === '\n' };
export const LINE_END: Ast = { kind: 'at', holds: (_, after) => after === undefined || after === '\n' };

/** What is written with a backslash. */
export const PLACES: Readonly<Record<string, Ast>> = {
  A: TEXT_START,
  z: TEXT_END,
  b: { kind: 'at', holds: (before, after) => isWord(before) !== isWord(after) },
  B: { kind: 'at', holds: (before, after) => isWord(before) === isWord(after) },
};
export const CLASSES: Readonly<Record<string, RegExp>> = { d: /[0-9]/, D: /[^0-9]/, w: /\w/, W: /\W/, s: /[\t\n\f\r ]/, S: /[^\t\n\f\r ]/ };
export const CONTROLS: Readonly<Record<string, string>> = { a: '\x07', f: '\f', t: '\t', n: '\n', r: '\r', v: '\v' };
/** `[:name:]` */
export const POSIX: Readonly<Record<string, RegExp>> = {
  ...{ alnum: /[0-9A-Za-z]/, alpha: /[A-Za-z]/, digit: /[0-9]/, lower: /[a-z]/, upper: /[A-Z]/, word: /\w/, xdigit: /[0-9A-Fa-f]/ },
  ...{ punct: /[!-/:-@[-`{-~]/, space: /[\t\n\v\f\r ]/, blank: /[\t ]/ },
};
