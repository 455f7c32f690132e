import { replaceMatches } from './shell-pattern.ts';
import { chooseValue, ExpandError, trimPattern } from './substitution.ts';

export { ExpandError } from './substitution.ts';

/** Reads a variable: its value, or undefined when it is not set (which differs from empty). */
export type Lookup = (name: string) => string | undefined;

export interface ExpandOptions {
  /** The Dockerfile's escape character, `\` or a backtick. */
  readonly escape?: string;
  /** Keep quote characters in the result (step titles, heredoc words). */
  readonly rawQuotes?: boolean;
  /** Keep escape characters in the result. */
  readonly rawEscapes?: boolean;
  /** Leave references to unset variables as they are written. */
  readonly keepUnset?: boolean;
  /** Treat quotes as ordinary characters (bodies of heredocs). */
  readonly plainQuotes?: boolean;
}

/**
 * Expands variables, quotes and escapes of one Dockerfile word, without splitting it, as BuildKit's
 * shell lexer does: `$x ${x} ${x:-w} ${x-w} ${x:+w} ${x+w} ${x:?m} ${x?m} ${x#p} ${x##p} ${x%p} ${x%%p}
 * ${x/p/r} ${x//p/r}`. Throws ExpandError.
 */
export const expandWord = (text: string, lookup: Lookup, options: ExpandOptions = {}): string =>
  new ShellWord(text, lookup, options).expand().text;

/** Like expandWord, then split into words at unquoted blanks, including those in values of variables. */
export const expandWords = (text: string, lookup: Lookup, options: ExpandOptions = {}): string[] =>
  new ShellWord(text, lookup, options).expand().words;

const SPACE = /\s/u;
const NAME_CHAR = /[\p{L}\p{Nd}_]/u;
const DIGIT = /\p{Nd}/u;
const SPECIAL = '@*#?-$!0';
const MAX_NESTING = 100;

/** Collects characters into words: blanks separate, except those that were quoted or escaped. */
class Words {
  readonly words: string[] = [];
  #word = '';
  #open = false;

  addChar(ch: string): void {
    if (!SPACE.test(ch)) {
      this.addRaw(ch);
    } else if (this.#open) {
      this.words.push(this.#word);
      this.#word = '';
      this.#open = false;
    }
  }

  addRaw(text: string): void {
    this.#word += text;
    this.#open = true;
  }

  finish(): string[] {
    return this.#word === '' ? this.words : [...this.words, this.#word];
  }
}

class ShellWord {
  readonly #chars: readonly string[];
  readonly #lookup: Lookup;
  readonly #options: ExpandOptions;
  readonly #escape: string;
  #pos = 0;
  #depth = 0;

  constructor(text: string, lookup: Lookup, options: ExpandOptions) {
    this.#chars = Array.from(text);
    this.#lookup = lookup;
    this.#options = options;
    this.#escape = options.escape ?? '\\';
  }

  expand(): { text: string; words: string[] } {
    return this.#readUntil(undefined, this.#options.rawEscapes ?? false);
  }

  #peek(): string | undefined {
    return this.#chars[this.#pos];
  }

  #next(): string | undefined {
    return this.#chars[this.#pos++];
  }

  #readUntil(stop: string | undefined, rawEscapes: boolean): { text: string; words: string[] } {
    const words = new Words();
    let text = '';
    for (let ch = this.#peek(); ch !== undefined; ch = this.#peek()) {
      if (ch === stop) {
        this.#pos++;
        return { text, words: words.finish() };
      }
      if (ch === '$') {
        const value = this.#readDollar();
        text += value;
        for (const one of value) {
          words.addChar(one);
        }
      } else if ((ch === "'" || ch === '"') && !this.#options.plainQuotes) {
        const value = ch === "'" ? this.#readSingleQuoted() : this.#readDoubleQuoted(rawEscapes);
        text += value;
        words.addRaw(value);
      } else {
        text += this.#readPlain(words, rawEscapes);
      }
    }
    if (stop !== undefined) {
      throw new ExpandError(`unexpected end of statement while looking for matching ${stop}`);
    }
    return { text, words: words.finish() };
  }

  #readPlain(words: Words, rawEscapes: boolean): string {
    const ch = this.#next() ?? '';
    if (ch === '<' && this.#peek() === '<') {
      return this.#readHeredocSign(words);
    }
    if (ch !== this.#escape) {
      words.addChar(ch);
      return ch;
    }
    // An escape at the very end of the word escapes nothing and vanishes.
    const escaped = (rawEscapes ? ch : '') + (this.#next() ?? '');
    if (escaped !== '') {
      words.addRaw(escaped);
    }
    return escaped;
  }

  /** `<<` and the blanks after it belong to the word that follows: `<< EOF` is one word. */
  #readHeredocSign(words: Words): string {
    let sign = `<${this.#next()}`;
    for (let blank = this.#peek(); blank !== undefined && /\s/.test(blank); blank = this.#peek()) {
      sign += blank;
      this.#pos++;
    }
    words.addRaw(sign);
    return sign;
  }

  #readSingleQuoted(): string {
    const from = this.#pos++;
    const end = this.#chars.indexOf("'", this.#pos);
    if (end < 0) {
      this.#pos = this.#chars.length;
      throw new ExpandError('unexpected end of statement while looking for matching single-quote');
    }
    this.#pos = end + 1;
    return (this.#options.rawQuotes ? this.#chars.slice(from, end + 1) : this.#chars.slice(from + 1, end)).join('');
  }

  #readDoubleQuoted(rawEscapes: boolean): string {
    const quote = this.#options.rawQuotes ? '"' : '';
    let text = quote;
    this.#pos++;
    for (;;) {
      const ch = this.#peek();
      if (ch === undefined) {
        throw new ExpandError('unexpected end of statement while looking for matching double-quote');
      }
      if (ch === '$') {
        text += this.#readDollar();
        continue;
      }
      this.#pos++;
      if (ch === '"') {
        return text + quote;
      }
      const after = this.#peek();
      if (ch === this.#escape && after === undefined) {
        continue;
      }
      // Inside double quotes only these can be escaped; any other backslash stays.
      if (ch === this.#escape && (after === '"' || after === '$' || after === this.#escape)) {
        this.#pos++;
        text += rawEscapes ? ch + after : after;
      } else {
        text += ch;
      }
    }
  }

  #readDollar(): string {
    this.#pos++;
    if (this.#peek() === '{') {
      this.#pos++;
      if (++this.#depth > MAX_NESTING) {
        throw new ExpandError('syntax error: substitutions are nested too deeply');
      }
      const value = this.#readBraced();
      this.#depth--;
      return value;
    }
    const name = this.#readName();
    if (name === '') {
      return '$';
    }
    return this.#lookup(name) ?? (this.#options.keepUnset ? `$${name}` : '');
  }

  #readName(): string {
    const first = this.#peek();
    if (first === undefined) {
      return '';
    }
    if (SPECIAL.includes(first) && !DIGIT.test(first)) {
      this.#pos++;
      return first;
    }
    const allowed = DIGIT.test(first) ? DIGIT : NAME_CHAR;
    const from = this.#pos;
    for (let ch = this.#peek(); ch !== undefined && allowed.test(ch); ch = this.#peek()) {
      this.#pos++;
    }
    return this.#chars.slice(from, this.#pos).join('');
  }

  #readBraced(): string {
    const first = this.#peek();
    if (first === '}' || first === ':') {
      throw new ExpandError('syntax error: bad substitution');
    }
    const name = this.#readName();
    const operator = this.#next();
    if (operator === undefined) {
      throw new ExpandError("syntax error: missing '}'");
    }
    if (operator === '}') {
      return this.#lookup(name) ?? (this.#options.keepUnset ? `\${${name}}` : '');
    }
    if (operator === '/') {
      return this.#readReplace(name);
    }
    const nullIsUnset = operator === ':';
    const modifier = nullIsUnset ? (this.#next() ?? '') : operator;
    const shown = nullIsUnset ? `:${modifier}` : modifier;
    const isPattern = modifier === '#' || modifier === '%';
    if (!'+-?#%'.includes(modifier) || modifier === '' || (nullIsUnset && isPattern)) {
      throw new ExpandError(`unsupported modifier (${shown}) in substitution`);
    }
    const word = this.#readInner('}', isPattern);
    const value = this.#lookup(name);
    if (value === undefined && this.#options.keepUnset) {
      return `\${${name}${shown}${word}}`;
    }
    return isPattern ? trimPattern(value ?? '', modifier, word) : chooseValue({ name, value, modifier, word, nullIsUnset });
  }

  #readInner(stop: string, rawEscapes: boolean): string {
    try {
      return this.#readUntil(stop, rawEscapes).text;
    } catch (error) {
      if (error instanceof ExpandError && this.#peek() === undefined) {
        throw new ExpandError("syntax error: missing '}'");
      }
      throw error;
    }
  }

  #readReplace(name: string): string {
    const all = this.#peek() === '/';
    if (all) {
      this.#pos++;
    }
    const pattern = this.#readInner('/', true);
    const replacement = this.#readInner('}', false);
    const value = this.#lookup(name);
    if (value === undefined && this.#options.keepUnset) {
      return `\${${name}${all ? '//' : '/'}${pattern}/${replacement}}`;
    }
    return replaceMatches({ text: value ?? '', pattern, replacement, all });
  }
}
