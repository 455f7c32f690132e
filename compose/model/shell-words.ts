/**
 * Splits a command line into words as a POSIX shell does, without expanding anything: quotes,
 * backslashes, blanks. Like docker compose it stops at an unquoted `;`, `&`, `|`, `<`, `>`, `(` or `)`.
 * Undefined if a quote is left open.
 */
export const splitWords = (line: string): string[] | undefined => {
  const words: string[] = [];
  let word: string | undefined;
  let at = 0;
  while (at < line.length) {
    const char = line[at] ?? '';
    if (char === '\\') {
      word = (word ?? '') + (line[at + 1] ?? '');
      at += 2;
      continue;
    }
    if (char === '"' || char === "'") {
      const quoted = readQuoted(line, at + 1, char);
      if (quoted === undefined) {
        return undefined;
      }
      word = (word ?? '') + quoted.text;
      at = quoted.end;
      continue;
    }
    if (/[ \t\r\n]/.test(char)) {
      if (word !== undefined) {
        words.push(word);
      }
      word = undefined;
    } else if (/[;&|<>()]/.test(char)) {
      break;
    } else {
      word = (word ?? '') + char;
    }
    at += 1;
  }
  return word === undefined ? words : [...words, word];
};

const readQuoted = (line: string, start: number, quote: string): { text: string; end: number } | undefined => {
  let text = '';
  for (let at = start; at < line.length; at++) {
    const char = line[at] ?? '';
    if (char === quote) {
      return { text, end: at + 1 };
    }
    // Inside of double quotes a backslash escapes; the word splitter drops it before any character.
    if (char === '\\' && quote === '"') {
      at += 1;
      text += line[at] ?? '';
    } else {
      text += char;
    }
  }
  return undefined;
};
