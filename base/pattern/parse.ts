import { type Ast, CLASSES, CONTROLS, codeOf, LINE_END, LINE_START, PatternFault, PLACES, POSIX, TEXT_END, TEXT_START } from './parts.ts';

/** Reads a pattern as Go's regexp does (https://github.com/google/re2/wiki/Syntax). Throws PatternFault, also for one of more than `most` steps. */
export const parsePattern = (pattern: string, most: number): Ast => {
  const parser = new Parser(pattern);
  const ast = parser.whole();
  if (stepsOf(ast) > most) {
    throw new PatternFault('expression too large', pattern.slice(0, 40));
  }
  return ast;
};

const stepsOf = (part: Ast): number =>
  part.kind === 'all' || part.kind === 'any'
    ? part.parts.reduce((sum, each) => sum + 1 + stepsOf(each), 0)
    : part.kind === 'repeat'
      ? (1 + stepsOf(part.part)) * Math.max(part.most ?? part.least + 1, 1)
      : 1;

const MOST_DEPTH = 200;
const MOST_REPEATS = 1_000;

interface Flags {
  readonly i: boolean;
  readonly m: boolean;
  readonly s: boolean;
}

class Parser {
  readonly #chars: readonly string[];
  #at = 0;
  #depth = 0;
  #flags: Flags = { i: false, m: false, s: false };

  constructor(pattern: string) {
    this.#chars = [...pattern];
  }

  whole(): Ast {
    const ast = this.#alternatives();
    if (this.#at < this.#chars.length) {
      throw new PatternFault('unexpected )', this.#chars.join(''));
    }
    return ast;
  }

  /** Flags that are set in a group end with it. */
  #alternatives(): Ast {
    const flags = this.#flags;
    const parts = [this.#sequence()];
    while (this.#eat('|')) {
      parts.push(this.#sequence());
    }
    this.#flags = flags;
    return parts.length === 1 ? (parts[0] as Ast) : { kind: 'any', parts };
  }

  #sequence(): Ast {
    const parts: Ast[] = [];
    while (this.#at < this.#chars.length && this.#peek !== '|' && this.#peek !== ')') {
      const part = this.#atom();
      parts.push(part === undefined ? { kind: 'all', parts: [] } : this.#repeated(part));
    }
    return { kind: 'all', parts };
  }

  /** undefined for `(?i)`, which stands for nothing and is not repeated. */
  #atom(): Ast | undefined {
    const char = this.#take();
    switch (char) {
      case '(':
        return this.#group();
      case '[':
        return this.#char(this.#set());
      case '.':
        return this.#flags.s ? { kind: 'char', accepts: () => true } : { kind: 'char', accepts: (each) => each !== '\n' };
      case '^':
        return this.#flags.m ? LINE_START : TEXT_START;
      case '$':
        return this.#flags.m ? LINE_END : TEXT_END;
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        throw new PatternFault('missing argument to repetition operator', char);
      default:
        return this.#char((each) => each === char);
    }
  }

  #repeated(part: Ast): Ast {
    const begin = this.#at;
    const bounds = this.#bounds();
    if (bounds === undefined) {
      return part;
    }
    // Lazy or not is of no matter to whether something is found.
    this.#eat('?');
    const [least, most] = bounds;
    if (least > MOST_REPEATS || (most !== undefined && (most > MOST_REPEATS || most < least))) {
      throw new PatternFault('invalid repeat count', this.#since(begin));
    }
    if (this.#bounds() !== undefined) {
      throw new PatternFault('invalid nested repetition operator', this.#since(begin));
    }
    return { kind: 'repeat', part, least, most };
  }

  #bounds(): readonly [number, number | undefined] | undefined {
    const simple = { '*': [0, undefined], '+': [1, undefined], '?': [0, 1] } as const;
    const char = this.#peek;
    if (char === '*' || char === '+' || char === '?') {
      this.#at += 1;
      return simple[char];
    }
    // What is no count is text, as in Go.
    const [text, least, comma, most] = /^\{(\d+)(,?)(\d*)\}/.exec(this.#chars.slice(this.#at, this.#at + 24).join('')) ?? [];
    if (text === undefined || (comma === '' && most !== '')) {
      return undefined;
    }
    this.#at += text.length;
    return [Number(least), comma === '' ? Number(least) : most === '' ? undefined : Number(most)];
  }

  #group(): Ast | undefined {
    const begin = this.#at - 1;
    this.#depth += 1;
    if (this.#depth > MOST_DEPTH) {
      throw new PatternFault('expression nests too deeply', this.#since(begin).slice(0, 40));
    }
    const outer = this.#flags;
    if (this.#eat('?')) {
      const head = /^(?:P?<\w+>|([ims]*)(?:-([ims]+))?([:)]))/.exec(this.#chars.slice(this.#at, this.#at + 80).join(''));
      if (head === null) {
        throw new PatternFault('invalid or unsupported Perl syntax', this.#chars.slice(begin, begin + 3).join(''));
      }
      this.#at += head[0].length;
      const [, on = '', off = '', end] = head;
      const flag = (name: keyof Flags): boolean => (on.includes(name) || outer[name]) && !off.includes(name);
      this.#flags = { i: flag('i'), m: flag('m'), s: flag('s') };
      if (end === ')') {
        this.#depth -= 1;
        return undefined;
      }
    }
    const inner = this.#alternatives();
    if (!this.#eat(')')) {
      throw new PatternFault('missing closing )', this.#chars.join(''));
    }
    this.#flags = outer;
    this.#depth -= 1;
    return inner;
  }

  /** After `[`. */
  #set(): (char: string) => boolean {
    const begin = this.#at - 1;
    const negated = this.#eat('^');
    const tests: Array<(char: string) => boolean> = [];
    for (let first = true; first || this.#peek !== ']'; first = false) {
      const [named, name] = /^\[:\^?(\w+):\]/.exec(this.#chars.slice(this.#at, this.#at + 14).join('')) ?? [];
      if (named !== undefined) {
        this.#at += named.length;
        const test = POSIX[name ?? ''];
        if (test === undefined) {
          throw new PatternFault('invalid character class range', named);
        }
        tests.push((char) => test.test(char) !== named.startsWith('[:^'));
        continue;
      }
      tests.push(this.#range(begin));
    }
    this.#at += 1;
    return (char) => tests.some((test) => test(char)) !== negated;
  }

  #range(begin: number): (char: string) => boolean {
    const low = this.#member(begin);
    if (typeof low !== 'string') {
      return low;
    }
    if (this.#peek !== '-' || this.#chars[this.#at + 1] === ']') {
      return (char) => char === low;
    }
    const from = this.#at - 1;
    this.#at += 1;
    const high = this.#member(begin);
    if (typeof high !== 'string' || codeOf(high) < codeOf(low)) {
      throw new PatternFault('invalid character class range', this.#since(from));
    }
    return (char) => codeOf(char) >= codeOf(low) && codeOf(char) <= codeOf(high);
  }

  /** A character of a set, or a class of them. */
  #member(begin: number): string | ((char: string) => boolean) {
    const char = this.#take();
    if (char === undefined) {
      throw new PatternFault('missing closing ]', this.#since(begin));
    }
    return char === '\\' ? this.#escaped() : char;
  }

  #escape(): Ast {
    const place = PLACES[this.#peek ?? ''];
    if (place !== undefined) {
      this.#at += 1;
      return place;
    }
    const meant = this.#escaped();
    return this.#char(typeof meant === 'string' ? (char) => char === meant : meant);
  }

  /** After a backslash. */
  #escaped(): string | ((char: string) => boolean) {
    const char = this.#take();
    if (char === undefined) {
      throw new PatternFault('trailing backslash at end of expression', '');
    }
    const set = CLASSES[char];
    if (set !== undefined) {
      return (each) => set.test(each);
    }
    const control = CONTROLS[char];
    if (control === undefined && /[\p{L}\p{N}]/u.test(char)) {
      throw new PatternFault('invalid escape sequence', `\\${char}`);
    }
    return control ?? char;
  }

  #char(accepts: (char: string) => boolean): Ast {
    return { kind: 'char', accepts: this.#flags.i ? (char) => accepts(char.toLowerCase()) || accepts(char.toUpperCase()) : accepts };
  }

  get #peek(): string | undefined {
    return this.#chars[this.#at];
  }

  #take(): string | undefined {
    this.#at += 1;
    return this.#chars[this.#at - 1];
  }

  #eat(char: string): boolean {
    const there = this.#peek === char;
    this.#at += there ? 1 : 0;
    return there;
  }

  #since(begin: number): string {
    return this.#chars.slice(begin, this.#at).join('');
  }
}
