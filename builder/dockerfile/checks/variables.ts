/** Variables that a word uses without a default: `$x` and `${x}`, not `${x:-y}`, `'$x'` or `\$x`. */
export const plainReferences = (text: string, escapeChar: string): string[] => {
  const names: string[] = [];
  for (let at = 0; at < text.length; ) {
    const ch = text[at];
    if (ch === escapeChar) {
      at += 2;
    } else if (ch === "'" && !isInDoubleQuotes(text, at, escapeChar)) {
      const end = text.indexOf("'", at + 1);
      at = end < 0 ? text.length : end + 1;
    } else if (ch === '$') {
      const { name, length } = readReference(text.slice(at));
      names.push(...(name === undefined ? [] : [name]));
      at += length;
    } else {
      at++;
    }
  }
  return names;
};

const readReference = (text: string): { name: string | undefined; length: number } => {
  const plain = /^\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})/.exec(text);
  if (plain !== null) {
    return { name: plain[1] ?? plain[2], length: plain[0].length };
  }
  if (!text.startsWith('${')) {
    return { name: undefined, length: 1 };
  }
  // A modifier says what happens if it is not set.
  let depth = 0;
  for (let at = 1; at < text.length; at++) {
    depth += text[at] === '{' ? 1 : text[at] === '}' ? -1 : 0;
    if (depth === 0) {
      return { name: undefined, length: at + 1 };
    }
  }
  return { name: undefined, length: text.length };
};

const isInDoubleQuotes = (text: string, end: number, escapeChar: string): boolean => {
  let inside = false;
  for (let at = 0; at < end; at++) {
    if (text[at] === escapeChar) {
      at++;
    } else if (text[at] === '"') {
      inside = !inside;
    }
  }
  return inside;
};
