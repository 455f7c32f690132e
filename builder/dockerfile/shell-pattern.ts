/**
 * The patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: only `*`, `?` and `\` are special. Matched with a
 * set of states (NFA) instead of a regular expression, so that no pattern takes exponential time.
 */

type Token = { readonly kind: 'any' } | { readonly kind: 'one' } | { readonly kind: 'char'; readonly char: string };

const MAX_WORK = 200_000_000;

/** Lengths (in characters) of every prefix of `text` that `pattern` matches whole, ascending. `reversed` reads the pattern backwards. */
export const matchPrefixLengths = (text: string, pattern: string, reversed = false): number[] => {
  const tokens = readTokens(pattern);
  return matchFrom(Array.from(text), 0, reversed ? tokens.reverse() : tokens);
};

export const reverseText = (text: string): string => Array.from(text).reverse().join('');

/** Replaces the first or every longest, leftmost match. An empty pattern changes nothing. */
export const replaceMatches = (options: { text: string; pattern: string; replacement: string; all: boolean }): string => {
  const tokens = readTokens(options.pattern);
  const chars = Array.from(options.text);
  if (tokens.length === 0 || chars.length * chars.length * tokens.length > MAX_WORK) {
    return options.text;
  }
  let result = '';
  for (let pos = 0; pos < chars.length; ) {
    const length = matchFrom(chars, pos, tokens).at(-1) ?? 0;
    if (length === 0) {
      result += chars[pos++];
      continue;
    }
    result += options.replacement;
    pos += length;
    if (!options.all) {
      return result + chars.slice(pos).join('');
    }
  }
  return result;
};

const readTokens = (pattern: string): Token[] => {
  const chars = Array.from(pattern);
  const tokens: Token[] = [];
  for (let index = 0; index < chars.length; index++) {
    const char = chars[index] ?? '';
    if (char === '*') {
      tokens.push({ kind: 'any' });
    } else if (char === '?') {
      tokens.push({ kind: 'one' });
    } else {
      const escaped = char === '\\' ? chars[++index] : char;
      tokens.push({ kind: 'char', char: escaped ?? '\\' });
    }
  }
  return tokens;
};

const matchFrom = (chars: readonly string[], from: number, tokens: readonly Token[]): number[] => {
  const lengths: number[] = [];
  let states = closeStates(new Set([0]), tokens);
  for (let pos = from; states.size > 0; pos++) {
    if (states.has(tokens.length)) {
      lengths.push(pos - from);
    }
    const char = chars[pos];
    if (char === undefined) {
      break;
    }
    states = closeStates(stepStates(states, char, tokens), tokens);
  }
  return lengths;
};

const stepStates = (states: ReadonlySet<number>, char: string, tokens: readonly Token[]): Set<number> => {
  const next = new Set<number>();
  for (const state of states) {
    const token = tokens[state];
    if (token?.kind === 'any') {
      next.add(state);
    } else if (token?.kind === 'one' || (token?.kind === 'char' && token.char === char)) {
      next.add(state + 1);
    }
  }
  return next;
};

/** `*` also matches nothing. Iterating over a Set includes elements that are added meanwhile. */
const closeStates = (states: Set<number>, tokens: readonly Token[]): Set<number> => {
  for (const state of states) {
    if (tokens[state]?.kind === 'any') {
      states.add(state + 1);
    }
  }
  return states;
};
