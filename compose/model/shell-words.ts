/** What a character stands in. At most one quotes at a time, but single and double quotes also count within backticks. */
interface State {
  single: boolean;
  double: boolean;
  backtick: boolean;
  /** Within `$(…)`; a `)` that closes nothing begins it, too. */
  dollar: boolean;
  escaped: boolean;
}

/**
 * Splits a command line into words as docker compose does (github.com/mattn/go-shellwords 1.0.12, nothing expanded): quotes and
 * backslashes are taken away, backticks and `$(…)` hold together and stay, and the line ends at an unquoted `;`, `&`, `|`, `<` or
 * `>`, the number of a redirection with it. Undefined for what it refuses: something left open, or a `(` without `$`.
 */
export const splitWords = (line: string): string[] | undefined => {
  const words: string[] = [];
  const state: State = { single: false, double: false, backtick: false, dollar: false, escaped: false };
  // Undefined between words: `""` is a word, too.
  let word: string | undefined;
  for (const char of line) {
    const role = roleOf(char, state, word ?? '');
    if (role === 'end') {
      word = char === '>' && /^\d/.test(word ?? '') ? undefined : word;
      break;
    }
    if (role === 'blank') {
      words.push(...(word === undefined ? [] : [word]));
      word = undefined;
    } else if (role === 'quote') {
      word ??= '';
    } else if (role === 'text') {
      word = (word ?? '') + char;
    } else if (role === 'refused') {
      return undefined;
    }
  }
  return state.escaped || isHeld(state) ? undefined : [...words, ...(word === undefined ? [] : [word])];
};

/** What a character does to the words, after `before` of the word that it may belong to; changes the state. */
const roleOf = (char: string, state: State, before: string): 'text' | 'escape' | 'blank' | 'end' | 'quote' | 'refused' => {
  if (state.escaped) {
    state.escaped = false;
    return 'text';
  }
  if (char === '\\' && !state.single) {
    state.escaped = true;
    return 'escape';
  }
  if (!isHeld(state) && /[ \t\r\n;&|<>]/.test(char)) {
    return /\s/.test(char) ? 'blank' : 'end';
  }
  if (isQuote(char, state)) {
    return 'quote';
  }
  if (char === '(' && !isQuoted(state)) {
    if (state.dollar || !before.endsWith('$')) {
      return 'refused';
    }
    state.dollar = true;
    return 'text';
  }
  turn(char, state);
  return 'text';
};

const isQuoted = ({ single, double, backtick }: State): boolean => single || double || backtick;

/** Whether blanks and operators are nothing special. */
const isHeld = (state: State): boolean => isQuoted(state) || state.dollar;

/** Takes a quote that begins or ends something, and is not part of the word. */
const isQuote = (char: string, state: State): boolean => {
  if (char === '"' && !state.single && !state.dollar) {
    state.double = !state.double;
    return true;
  }
  if (char === "'" && !state.double && !state.dollar) {
    state.single = !state.single;
    return true;
  }
  return false;
};

/** Characters that begin or end something and are part of the word. */
const turn = (char: string, state: State): void => {
  if (char === '`' && !state.single && !state.double && !state.dollar) {
    state.backtick = !state.backtick;
  } else if (char === ')' && !isQuoted(state)) {
    state.dollar = !state.dollar;
  }
};
