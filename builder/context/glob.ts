/**
 * Go's filepath.Match and moby's ignore patterns, compiled to a matcher with a set of states (NFA) instead of a
 * regular expression, so that no pattern takes exponential time.
 */

type Token =
  /** `*`: any run without a slash; `**`: any run; `**` before a slash also matches nothing at all. */
  | { readonly kind: 'star' | 'globstar' }
  | { readonly kind: 'one' }
  | { readonly kind: 'char'; readonly char: string }
  | { readonly kind: 'class'; readonly negated: boolean; readonly ranges: ReadonlyArray<readonly [string, string]> }
  /** The rest of the pattern is optional as a whole. */
  | { readonly kind: 'skip'; readonly to: number };

export class PatternFault extends Error {
  override readonly name = 'PatternFault';
}

export interface Glob {
  /** Whether the whole path matches. */
  matches(path: string): boolean;
}

/** True when the pattern is more than a literal path. */
export const hasWildcards = (pattern: string): boolean => /[*?[\\]/.test(pattern);

/**
 * Compiles `*`, `?`, `[a-z]`, `[^a]`, `\x`; with `globstar` two stars match any depth, also zero, as in
 * moby/patternmatcher. Throws PatternFault for a malformed class or escape.
 */
export const compileGlob = (pattern: string, options: { globstar: boolean }): Glob => {
  const tokens = readTokens(Array.from(pattern), options.globstar);
  return { matches: (path) => runTokens(tokens, Array.from(path)) };
};

const readTokens = (chars: readonly string[], globstar: boolean): Token[] => {
  const tokens: Token[] = [];
  for (let pos = 0; pos < chars.length; ) {
    const char = chars[pos] ?? '';
    if (char === '*' && globstar && chars[pos + 1] === '*') {
      pos += 2;
      // `**/` matches zero or more whole components.
      if (chars[pos] === '/') {
        pos++;
        tokens.push({ kind: 'skip', to: tokens.length + 3 }, { kind: 'globstar' }, { kind: 'char', char: '/' });
      } else {
        tokens.push({ kind: 'globstar' });
      }
    } else if (char === '[') {
      pos = readClass(chars, pos + 1, tokens);
    } else if (char === '*' || char === '?') {
      tokens.push({ kind: char === '*' ? 'star' : 'one' });
      pos++;
    } else {
      pos = readChar(chars, pos, (value) => tokens.push({ kind: 'char', char: value }));
    }
  }
  return tokens;
};

const readChar = (chars: readonly string[], pos: number, take: (char: string) => void): number => {
  const escaped = chars[pos] === '\\';
  const char = chars[escaped ? pos + 1 : pos];
  if (char === undefined) {
    throw new PatternFault('syntax error in pattern');
  }
  take(char);
  return pos + (escaped ? 2 : 1);
};

const readClass = (chars: readonly string[], start: number, tokens: Token[]): number => {
  const negated = chars[start] === '^';
  const ranges: Array<readonly [string, string]> = [];
  let pos = negated ? start + 1 : start;
  while (chars[pos] !== ']' || ranges.length === 0) {
    if (chars[pos] === undefined || chars[pos] === '-' || chars[pos] === ']') {
      throw new PatternFault('syntax error in pattern');
    }
    let low = '';
    pos = readChar(chars, pos, (char) => {
      low = char;
    });
    let high = low;
    if (chars[pos] === '-') {
      pos = readChar(chars, pos + 1, (char) => {
        high = char;
      });
    }
    ranges.push([low, high]);
  }
  tokens.push({ kind: 'class', negated, ranges });
  return pos + 1;
};

const runTokens = (tokens: readonly Token[], chars: readonly string[]): boolean => {
  let states = close(new Set([0]), tokens);
  for (const char of chars) {
    const next = new Set<number>();
    for (const state of states) {
      const token = tokens[state];
      if (token !== undefined && accepts(token, char)) {
        next.add(token.kind === 'star' || token.kind === 'globstar' ? state : state + 1);
      }
    }
    states = close(next, tokens);
    if (states.size === 0) {
      return false;
    }
  }
  return states.has(tokens.length);
};

const accepts = (token: Token, char: string): boolean => {
  switch (token.kind) {
    case 'globstar':
      return true;
    case 'star':
    case 'one':
      return char !== '/';
    case 'char':
      return token.char === char;
    case 'class':
      return char !== '/' && token.ranges.some(([low, high]) => low <= char && char <= high) !== token.negated;
    case 'skip':
      return false;
  }
};

/** Iterating over a Set includes elements that are added meanwhile. */
const close = (states: Set<number>, tokens: readonly Token[]): Set<number> => {
  for (const state of states) {
    const token = tokens[state];
    if (token?.kind === 'star' || token?.kind === 'globstar') {
      states.add(state + 1);
    } else if (token?.kind === 'skip') {
      states.add(state + 1);
      states.add(token.to);
    }
  }
  return states;
};
