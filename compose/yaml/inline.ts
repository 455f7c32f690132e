import type { Properties, Syntax, SyntaxPair, SyntaxScalar } from './syntax.ts';

/** Thrown inside the quick reader at syntax that it leaves to the full reader. */
export class NotSimple extends Error {}

/**
 * The part of the quick YAML reader that reads values within lines: plain and quoted scalars, aliases, and
 * flow collections. Throws {@link NotSimple} at anything that it is not sure of.
 */
export class InlineReader {
  protected readonly text: string;
  protected at = 0;

  constructor(text: string) {
    this.text = text;
  }

  protected giveUp(): never {
    throw NOT_SIMPLE;
  }

  /** Code of the character here, NaN at the end. */
  protected get code(): number {
    return this.text.charCodeAt(this.at);
  }

  protected skipBlanks(): void {
    while (this.code === BLANK) {
      this.at += 1;
    }
  }

  /** A value that starts with a quote, bracket or asterisk; its continuation lines are indented more than `indent`. */
  protected readMarked(indent: number, depth: number, properties: Properties): Syntax | undefined {
    const { code } = this;
    if (code === DOUBLE || code === SINGLE) {
      return this.readQuoted(properties);
    }
    if (code === OPEN_LIST || code === OPEN_MAP) {
      return this.#readFlow(indent, depth, properties);
    }
    if (code === STAR) {
      return properties === NO_PROPERTIES ? this.#readAlias() : this.giveUp();
    }
    return undefined;
  }

  protected readQuoted(properties: Properties): SyntaxScalar {
    const { at } = this;
    const text = this.code === DOUBLE ? this.#readDouble() : this.#readSingle();
    return { kind: 'scalar', text, isPlain: false, at, tag: properties.tag, anchor: properties.anchor };
  }

  #readDouble(): string {
    const { text } = this;
    let from = this.at + 1;
    let before = '';
    for (let at = from; ; at++) {
      const code = text.charCodeAt(at);
      if (code === DOUBLE) {
        this.at = at + 1;
        return before + text.slice(from, at);
      }
      if (code === BACKSLASH) {
        const escaped = ESCAPES.get(text.charCodeAt(at + 1)) ?? this.giveUp();
        before += text.slice(from, at) + escaped;
        at += 1;
        from = at + 1;
      } else if (code === NEWLINE || Number.isNaN(code)) {
        this.giveUp();
      }
    }
  }

  #readSingle(): string {
    const { text } = this;
    let from = this.at + 1;
    let before = '';
    for (let at = from; ; at++) {
      const code = text.charCodeAt(at);
      if (code === NEWLINE || Number.isNaN(code)) {
        this.giveUp();
      }
      if (code === SINGLE) {
        before += text.slice(from, at);
        if (text.charCodeAt(at + 1) !== SINGLE) {
          this.at = at + 1;
          return before;
        }
        at += 1;
        from = at;
      }
    }
  }

  #readAlias(): Syntax {
    const { at } = this;
    this.at += 1;
    const name = this.readName();
    return { kind: 'alias', name, at };
  }

  /** The name of an anchor: letters, digits and the like, followed by a blank, a line end or a separator. */
  protected readName(): string {
    const from = this.at;
    while (NAME.has(this.code)) {
      this.at += 1;
    }
    const { code } = this;
    const ends = code === BLANK || code === NEWLINE || code === COMMA || code === CLOSE_LIST || code === CLOSE_MAP || Number.isNaN(code);
    return ends && this.at > from ? this.text.slice(from, this.at) : this.giveUp();
  }

  #readFlow(indent: number, depth: number, properties: Properties): Syntax {
    if (depth > MAX_DEPTH) {
      this.giveUp();
    }
    const { at } = this;
    const { tag, anchor } = properties;
    if (this.code === OPEN_LIST) {
      const items = this.#readUntil(CLOSE_LIST, indent, () => this.#readFlowValue(indent, depth));
      return { kind: 'list', items, at, tag, anchor };
    }
    const pairs = this.#readUntil(CLOSE_MAP, indent, () => this.#readFlowPair(indent, depth));
    return { kind: 'map', pairs, at, tag, anchor };
  }

  #readUntil<T>(close: number, indent: number, read: () => T): T[] {
    const parts: T[] = [];
    this.at += 1;
    this.#skipSpace(indent);
    while (this.code !== close) {
      parts.push(read());
      this.#skipSpace(indent);
      if (this.code === COMMA) {
        this.at += 1;
        this.#skipSpace(indent);
      } else if (this.code !== close) {
        this.giveUp();
      }
    }
    this.at += 1;
    return parts;
  }

  #readFlowPair(indent: number, depth: number): SyntaxPair {
    const { code } = this;
    const key = code === DOUBLE || code === SINGLE ? this.readQuoted(NO_PROPERTIES) : this.#readFlowPlain();
    const next = this.text.charCodeAt(this.at + 1);
    if (this.code !== COLON || next !== BLANK || this.at - key.at > MAX_KEY) {
      this.giveUp();
    }
    this.at += 1;
    this.skipBlanks();
    return { key, value: this.#readFlowValue(indent, depth) };
  }

  #readFlowValue(indent: number, depth: number): Syntax {
    const value = this.readMarked(indent, depth + 1, NO_PROPERTIES) ?? this.#readFlowPlain();
    return this.code === COLON ? this.giveUp() : value;
  }

  #readFlowPlain(): SyntaxScalar {
    const { text, at } = this;
    this.#refuseStart();
    let end = at;
    for (; ; end++) {
      const code = text.charCodeAt(end);
      if (code === COMMA || code === CLOSE_LIST || code === CLOSE_MAP || code === NEWLINE) {
        break;
      }
      if (code === OPEN_LIST || code === OPEN_MAP || Number.isNaN(code) || (code === HASH && text.charCodeAt(end - 1) === BLANK)) {
        this.giveUp();
      }
      if (code === COLON) {
        const next = text.charCodeAt(end + 1);
        if (next === BLANK) {
          break;
        }
        if (next === NEWLINE || FLOW_INDICATORS.has(next) || Number.isNaN(next)) {
          this.giveUp();
        }
      }
    }
    this.at = end;
    return this.plain(at, end, NO_PROPERTIES);
  }

  /** First characters that have another meaning, or whose meaning depends on the next one. */
  #refuseStart(): void {
    const { code } = this;
    const next = this.text.charCodeAt(this.at + 1);
    const needsNext = code === DASH || code === QUESTION || code === COLON;
    if (INDICATORS.has(code) || (needsNext && (next === BLANK || next === NEWLINE || FLOW_INDICATORS.has(next) || Number.isNaN(next)))) {
      this.giveUp();
    }
  }

  protected plain(from: number, to: number, properties: Properties): SyntaxScalar {
    let end = to;
    while (this.text.charCodeAt(end - 1) === BLANK) {
      end -= 1;
    }
    return end > from
      ? { kind: 'scalar', text: this.text.slice(from, end), isPlain: true, at: from, tag: properties.tag, anchor: properties.anchor }
      : this.giveUp();
  }

  /** A plain scalar in block context, up to the end of its line; throws if the line contains a mapping. */
  protected readBlockPlain(properties: Properties): SyntaxScalar {
    const from = this.at;
    const colon = this.scanPlain();
    return colon ? this.giveUp() : this.plain(from, this.at, properties);
  }

  /** Moves to the end of a plain scalar: the line end, a comment, or (then true) a colon followed by a blank. */
  protected scanPlain(): boolean {
    this.#refuseStart();
    const { text } = this;
    for (let at = this.at; ; at++) {
      const code = text.charCodeAt(at);
      if (code === NEWLINE || Number.isNaN(code) || (code === HASH && text.charCodeAt(at - 1) === BLANK)) {
        this.at = at;
        return false;
      }
      if (code === COLON) {
        const next = text.charCodeAt(at + 1);
        if (next === BLANK || next === NEWLINE || Number.isNaN(next)) {
          this.at = at;
          return true;
        }
      }
    }
  }

  /** Blanks, comments and line ends within brackets. */
  #skipSpace(indent: number): void {
    for (;;) {
      this.skipBlanks();
      if (this.code === HASH && this.text.charCodeAt(this.at - 1) === BLANK) {
        this.skipLine();
      }
      if (this.code !== NEWLINE) {
        return;
      }
      const line = this.at + 1;
      this.at = line;
      this.skipBlanks();
      if (this.code !== NEWLINE && this.at - line <= indent) {
        this.giveUp();
      }
    }
  }

  protected skipLine(): void {
    const end = this.text.indexOf('\n', this.at);
    this.at = end === -1 ? this.text.length : end;
  }
}

const codes = (characters: string): ReadonlySet<number> => new Set([...characters].map((char) => char.charCodeAt(0)));

export const NO_PROPERTIES: Properties = { tag: undefined, anchor: undefined };
export const NEWLINE = 0x0a;
export const BLANK = 0x20;
export const HASH = 0x23;
export const DASH = 0x2d;
export const COLON = 0x3a;
export const DOUBLE = 0x22;
export const SINGLE = 0x27;
/** Deeper files go to the full reader, which reports where they are too deep. */
export const MAX_DEPTH = 90;
/** YAML allows at most 1024 characters for an implicit key. */
export const MAX_KEY = 1000;
const STAR = 0x2a;
const COMMA = 0x2c;
const QUESTION = 0x3f;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_MAP = 0x7b;
const CLOSE_MAP = 0x7d;
const NOT_SIMPLE = new NotSimple();
const INDICATORS = codes(',[]{}#&*!|>\'"%@`');
const FLOW_INDICATORS = codes(',[]{}');
const NAME = codes('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.');
const ESCAPES = new Map([
  [0x22, '"'],
  [0x5c, '\\'],
  [0x2f, '/'],
  [0x6e, '\n'],
  [0x74, '\t'],
  [0x72, '\r'],
]);
