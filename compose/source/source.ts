import { type ErrorCode, HyprError, type Place } from '../../base/errors.ts';

/** The text of one file, which converts offsets to lines and columns. */
export class SourceFile {
  readonly path: string;
  readonly text: string;
  readonly #lineStarts: number[] = [0];

  constructor(path: string, text: string) {
    this.path = path;
    this.text = text;
  }

  /** Line and column count from 1. */
  placeAt(offset: number): Place & { line: number; column: number } {
    const starts = this.#starts(offset);
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= offset) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return { file: this.path, line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
  }

  /** The line of `offset` and a caret under it, as two lines of text. */
  excerptAt(offset: number): string[] {
    const place = this.placeAt(offset);
    const start = this.#starts(offset)[place.line - 1] ?? 0;
    const end = this.text.indexOf('\n', start);
    const line = this.text.slice(start, end === -1 ? undefined : end).replace(/\r$/, '');
    const number = String(place.line);
    const shift = place.column > MAX_EXCERPT ? place.column - 20 : 0;
    const shown = line.slice(shift, shift + MAX_EXCERPT);
    const indent = shown.slice(0, place.column - 1 - shift).replace(/[^\t]/g, ' ');
    return [`${number} | ${printable(shown)}`, `${' '.repeat(number.length)} | ${indent}^`];
  }

  /** Starts of the lines up to the one with `offset`; a hostile file may have millions after it. */
  #starts(offset: number): number[] {
    const starts = this.#lineStarts;
    for (let last = starts.at(-1) ?? 0; last <= offset; last = starts.at(-1) ?? 0) {
      const next = this.text.indexOf('\n', last);
      if (next === -1 || next >= offset) {
        break;
      }
      starts.push(next + 1);
    }
    return starts;
  }
}

/** A position in a source; converted to a `Place` only when it is needed. */
export interface Mark {
  readonly source: SourceFile;
  readonly offset: number;
}

export const placeOfMark = (mark: Mark): Place => (mark.offset < 0 ? { file: mark.source.path } : mark.source.placeAt(mark.offset));

/** For values that come from no file: defaults, flags. */
export const syntheticMark = (path: string): Mark => ({ source: new SourceFile(path, ''), offset: -1 });

/** An error at a mark, with the line and a caret under the message. */
export const errorAt = (
  code: ErrorCode,
  message: string,
  options: { mark?: Mark | undefined; hint?: string | undefined; cause?: unknown } = {},
): HyprError => {
  const { mark, hint, cause } = options;
  return new HyprError(code, printable(message), {
    ...(hint === undefined ? {} : { hint: printable(hint) }),
    ...(cause === undefined ? {} : { cause }),
    ...(mark === undefined ? {} : { where: placeOfMark(mark) }),
    ...(mark === undefined || mark.offset < 0 ? {} : { details: mark.source.excerptAt(mark.offset) }),
  });
};

/** Makes text of a file safe for a terminal: control characters, and so escape sequences, are made visible. */
export const printable = (text: string): string =>
  text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );

const MAX_EXCERPT = 160;
