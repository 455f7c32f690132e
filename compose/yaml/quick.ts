import { BLANK, COLON, DASH, DOUBLE, HASH, InlineReader, MAX_DEPTH, MAX_KEY, NEWLINE, NO_PROPERTIES, NotSimple, SINGLE } from './inline.ts';
import type { Properties, Syntax, SyntaxPair, SyntaxScalar } from './syntax.ts';

/**
 * Reads the part of YAML that Compose files normally use: block mappings and lists, scalars of one
 * line, block scalars, flow collections, anchors, aliases, `!reset` and `!override`. Returns undefined for
 * anything else and for errors, which are left to the full reader; that one takes five to ten times as long.
 * Both give the same result, offsets included.
 */
export const readQuickly = (text: string): Syntax | undefined => {
  if (UNUSUAL.test(text)) {
    return undefined;
  }
  try {
    return new QuickReader(text).readDocument();
  } catch (error) {
    if (error instanceof NotSimple) {
      return undefined;
    }
    throw error;
  }
};

class QuickReader extends InlineReader {
  /** Where the line of the next value starts. */
  #line = 0;

  readDocument(): Syntax {
    const column = this.#next();
    const root = column < 0 ? this.giveUp() : this.#readBlock(column, 0, NO_PROPERTIES);
    return this.at < this.text.length ? this.giveUp() : root;
  }

  /** Moves to the next line that is not empty; returns the column of its first character, -1 at the end of the text. */
  #next(): number {
    const { text } = this;
    for (;;) {
      this.skipBlanks();
      const { code } = this;
      if (Number.isNaN(code)) {
        return -1;
      }
      if (code === HASH) {
        this.skipLine();
      } else if (code !== NEWLINE) {
        return this.at - this.#line;
      }
      if (this.at < text.length) {
        this.at += 1;
        this.#line = this.at;
      }
    }
  }

  /** Only a comment may follow a value on its line. */
  #endLine(): number {
    const before = this.at;
    this.skipBlanks();
    const { code } = this;
    const isComment = code === HASH && this.at > before;
    return code === NEWLINE || isComment || Number.isNaN(code) ? this.#toNextLine() : this.giveUp();
  }

  #toNextLine(): number {
    this.skipLine();
    if (this.at < this.text.length) {
      this.at += 1;
      this.#line = this.at;
    }
    return this.#next();
  }

  get #isDash(): boolean {
    const next = this.text.charCodeAt(this.at + 1);
    return this.code === DASH && (next === BLANK || next === NEWLINE);
  }

  /** A mapping or list whose entries start in `column`, the first of them here. */
  #readBlock(column: number, depth: number, properties: Properties): Syntax {
    if (depth > MAX_DEPTH) {
      this.giveUp();
    }
    const { at } = this;
    const { tag, anchor } = properties;
    return this.#isDash
      ? { kind: 'list', items: this.#readItems(column, depth), at, tag, anchor }
      : { kind: 'map', pairs: this.#readPairs(column, depth), at, tag, anchor };
  }

  #readPairs(column: number, depth: number): SyntaxPair[] {
    const pairs: SyntaxPair[] = [];
    let next = column;
    while (next === column) {
      const key = this.#readKey();
      this.at += 1;
      this.skipBlanks();
      const { value, column: after } = this.#readValue(column, depth);
      pairs.push({ key, value });
      next = after;
    }
    return next > column ? this.giveUp() : pairs;
  }

  /** Leaves the reader at the colon. */
  #readKey(): SyntaxScalar {
    const { at, code } = this;
    if (this.#line === at && MARKERS.test(this.text.slice(at, at + 3))) {
      this.giveUp();
    }
    if (code === DOUBLE || code === SINGLE) {
      const key = this.readQuoted(NO_PROPERTIES);
      const next = this.text.charCodeAt(this.at + 1);
      const ends = this.code === COLON && (next === BLANK || next === NEWLINE);
      return ends && this.at - at <= MAX_KEY ? key : this.giveUp();
    }
    return this.scanPlain() && this.at - at <= MAX_KEY ? this.plain(at, this.at, NO_PROPERTIES) : this.giveUp();
  }

  /** The value of a key or list entry that starts in `column`, and the column of what follows it. */
  #readValue(column: number, depth: number): { value: Syntax; column: number } {
    const start = this.at;
    const properties = this.#readProperties();
    const { code } = this;
    if (code === NEWLINE || code === HASH || Number.isNaN(code)) {
      return this.#readBelow(column, depth, properties, start);
    }
    if (code === PIPE || code === GREATER) {
      const value = this.#readBlockScalar(column, properties);
      return { value, column: this.#next() };
    }
    const value = this.readMarked(column, depth + 1, properties) ?? this.readBlockPlain(properties);
    return { value, column: this.#endLine() };
  }

  /** The rest of the line is empty: the value is indented further on the next lines, or is a list in the key's own column. */
  #readBelow(column: number, depth: number, properties: Properties, start: number): { value: Syntax; column: number } {
    if (this.code === HASH && this.text.charCodeAt(this.at - 1) !== BLANK) {
      this.giveUp();
    }
    const next = this.#toNextLine();
    if (next > column || (next === column && this.#isDash)) {
      const value = this.#readBlock(next, depth + 1, properties);
      return { value, column: this.at < this.text.length ? this.at - this.#line : -1 };
    }
    if (properties !== NO_PROPERTIES) {
      this.giveUp();
    }
    return { value: { kind: 'scalar', text: '', isPlain: true, at: start, tag: undefined, anchor: undefined }, column: next };
  }

  #readItems(column: number, depth: number): Syntax[] {
    const items: Syntax[] = [];
    let next = column;
    while (next === column && this.#isDash) {
      this.at += 1;
      this.skipBlanks();
      const { value, column: after } = this.#readItem(column, depth);
      items.push(value);
      next = after;
    }
    return next > column ? this.giveUp() : items;
  }

  #readItem(column: number, depth: number): { value: Syntax; column: number } {
    const { code } = this;
    if (code === NEWLINE || code === HASH || code === AMPERSAND || code === BANG || this.#isDash) {
      return this.giveUp();
    }
    if (!this.#startsPair()) {
      return this.#readValue(column, depth);
    }
    const value = this.#readBlock(this.at - this.#line, depth + 1, NO_PROPERTIES);
    return { value, column: this.at < this.text.length ? this.at - this.#line : -1 };
  }

  /** Whether a plain or quoted key and its colon are here. */
  #startsPair(): boolean {
    const { at, code, text } = this;
    if (NO_KEY.has(code)) {
      return false;
    }
    const isQuoted = code === DOUBLE || code === SINGLE;
    if (isQuoted) {
      this.readQuoted(NO_PROPERTIES);
    }
    const found = isQuoted ? text.charCodeAt(this.at) === COLON : this.scanPlain();
    this.at = at;
    return found;
  }

  #readProperties(): Properties {
    let properties = NO_PROPERTIES;
    for (;;) {
      const { code } = this;
      if (code === AMPERSAND && properties.anchor === undefined) {
        this.at += 1;
        properties = { ...properties, anchor: this.readName() };
      } else if (code === BANG && properties.tag === undefined) {
        const tag = TAGS.find((each) => this.text.startsWith(each, this.at)) ?? this.giveUp();
        this.at += tag.length;
        properties = { ...properties, tag };
      } else {
        return properties;
      }
      if (this.code !== BLANK && this.code !== NEWLINE) {
        this.giveUp();
      }
      this.skipBlanks();
    }
  }

  /** `|` and `>`, with or without `-`; the first line sets the indentation. */
  #readBlockScalar(column: number, properties: Properties): SyntaxScalar {
    const { at } = this;
    const header = /[|>]-?\n/y;
    header.lastIndex = at;
    const match = header.exec(this.text)?.[0] ?? this.giveUp();
    this.at += match.length;
    const lines = this.#readScalarLines(column);
    const isFolded = match.startsWith('>');
    if (isFolded && lines.some((line) => line.startsWith(' '))) {
      this.giveUp();
    }
    const body = isFolded ? lines.join('\n').replace(/\n+/g, (run) => (run.length === 1 ? ' ' : run.slice(1))) : lines.join('\n');
    const text = match.includes('-') ? body : `${body}\n`;
    return { kind: 'scalar', text, isPlain: false, at, tag: properties.tag, anchor: properties.anchor };
  }

  /** The lines of a block scalar without their indentation and without empty ones at the end. */
  #readScalarLines(column: number): string[] {
    const { text } = this;
    const lines: string[] = [];
    let used = 0;
    let indent = -1;
    for (;;) {
      const end = text.indexOf('\n', this.at);
      this.#line = this.at;
      this.skipBlanks();
      const width = this.at - this.#line;
      if (end === -1 && this.at < text.length) {
        this.giveUp();
      }
      const isEmpty = this.at === end || end === -1;
      if (!isEmpty && indent === -1) {
        indent = width;
      }
      const isOutside = !isEmpty && width < indent;
      // Rare cases of YAML: text left of the other lines, empty lines at the start, blanks that count in empty lines.
      if (
        (!isEmpty && Math.min(width, indent) <= column && !isOutside) ||
        (isOutside && width > column) ||
        (isEmpty && (indent < 0 || width > indent))
      ) {
        this.giveUp();
      }
      if (isOutside || end === -1) {
        this.at = this.#line;
        return lines.slice(0, used);
      }
      lines.push(isEmpty ? '' : text.slice(this.#line + indent, end));
      used = isEmpty ? used : lines.length;
      this.at = end + 1;
    }
  }
}

/** Tabs, carriage returns, byte-order marks, directives and further documents are left to the full reader. */
const UNUSUAL = /[\t\r\ufeff]|^(?:---|\.\.\.|%)/m;
const MARKERS = /^(?:---|\.\.\.)$/;
const TAGS = ['!reset', '!override'];
const PIPE = 0x7c;
const GREATER = 0x3e;
const AMPERSAND = 0x26;
const BANG = 0x21;
const NO_KEY = new Set([...'[]{},#&*!|>%@`'].map((char) => char.charCodeAt(0)));
