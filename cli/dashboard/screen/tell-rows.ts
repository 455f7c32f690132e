import { stripVTControlCharacters } from 'node:util';

/** Tells rows of a screen to a screen reader: each that is new, and the one under the cursor when that moves; ages alone are no news. */
export class RowTeller {
  readonly #write: (text: string) => void;
  #told: ReadonlySet<string> = new Set();
  #cursor: string | undefined;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** @param rows - as they would be drawn; a `>` begins the row under the cursor */
  tell(rows: readonly string[]): void {
    const shown = rows.map((row) => stripVTControlCharacters(row)).filter((row) => row.trim() !== '');
    const cursor = shown.find((row) => /^ ?>/.test(row));
    const hasMoved = cursor !== undefined && newsOf(cursor) !== this.#cursor;
    const news = shown.filter((row) => (row === cursor && hasMoved) || !this.#told.has(newsOf(row)));
    this.#told = new Set(shown.map(newsOf));
    this.#cursor = cursor === undefined ? undefined : newsOf(cursor);
    this.#write(news.map((row) => `${withoutCursor(row)}\r\n`).join(''));
  }
}

const withoutCursor = (row: string): string => row.replace(/^ ?>/, '').trim();
const newsOf = (row: string): string => withoutCursor(row).replace(/ ?\b\d+(?: (?:second|minute|hour|day)s?|[smhd])\b/g, '');
