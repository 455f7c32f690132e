import { HyprError } from '../../base/errors.ts';

/** A parsed template: text, printed pipelines, if/range/with blocks. */
export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly pipe: Pipe; readonly assign: Assign | undefined }
  | { readonly kind: 'break' | 'continue' }
  | {
      readonly kind: 'if' | 'range' | 'with';
      readonly pipe: Pipe;
      readonly assign: Assign | undefined;
      readonly then: readonly Node[];
      readonly otherwise: readonly Node[];
    };

/** `$x :=`, `$x =`, or of a range `$value :=` and `$key, $value :=`: names without the dollar. */
export interface Assign {
  readonly names: readonly string[];
  readonly declares: boolean;
}

/** Commands joined by `|`: the value of one is the last argument of the next. */
export type Pipe = readonly Command[];
export type Command = readonly Operand[];
export type Operand =
  | { readonly kind: 'literal'; readonly value: unknown }
  | { readonly kind: 'field'; readonly path: readonly string[] }
  /** `$x.A`; the name is empty for `$` itself, the data of the template. */
  | { readonly kind: 'variable'; readonly name: string; readonly path: readonly string[] }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'pipe'; readonly pipe: Pipe; readonly path: readonly string[] };

const MAX_DEPTH = 50;
const TOKEN =
  /\s+|"(?:\\.|[^"\\])*"|`[^`]*`|-?\d+(?:\.\d+)?(?![\w.])|\$\w*(?:\.[A-Za-z_]\w*)*|(?:\.[A-Za-z_]\w*)+|\.(?![\w.])|[A-Za-z_]\w*|[|()]/y;

/** Parses the subset of Go's text/template that docker's `--format` is used with. Throws HYPR_USAGE. */
export const parseTemplate = (text: string): Node[] => {
  const reader = new Reader(splitActions(text));
  const nodes = reader.block(0);
  if (reader.next() !== undefined) {
    throw bad('{{end}} or {{else}} without a block');
  }
  return nodes;
};

type Piece = { readonly text: string } | { readonly action: string };

/** `a {{- .B }}` → text and actions; a dash removes the blanks on its side. */
const splitActions = (text: string): Piece[] => {
  const pieces: Piece[] = [];
  let position = 0;
  let trim = false;
  const addText = (raw: string): void => {
    const kept = trim ? raw.trimStart() : raw;
    if (kept !== '') {
      pieces.push({ text: kept });
    }
  };
  for (let open = text.indexOf('{{'); open !== -1; open = text.indexOf('{{', position)) {
    const close = text.indexOf('}}', open);
    if (close === -1) {
      throw bad('{{ without }}');
    }
    const action = text.slice(open + 2, close);
    const before = text.slice(position, open);
    addText(/^-\s/.test(action) ? before.trimEnd() : before);
    trim = /\s-$/.test(action);
    const inner = action.replace(/^-\s/, '').replace(/\s-$/, '').trim();
    if (!inner.startsWith('/*')) {
      pieces.push({ action: inner });
    }
    position = close + 2;
  }
  addText(text.slice(position));
  return pieces;
};

class Reader {
  readonly #pieces: readonly Piece[];
  #index = 0;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  next(): Piece | undefined {
    const piece = this.#pieces[this.#index];
    this.#index += 1;
    return piece;
  }

  /** Nodes up to `{{else}}`, `{{end}}` or the end of the template. */
  block(depth: number): Node[] {
    if (depth > MAX_DEPTH) {
      throw bad('blocks nested too deep');
    }
    const nodes: Node[] = [];
    for (let piece = this.#pieces[this.#index]; piece !== undefined; piece = this.#pieces[this.#index]) {
      if ('action' in piece && /^(else|end)\b/.test(piece.action)) {
        break;
      }
      this.#index += 1;
      nodes.push('text' in piece ? { kind: 'text', text: piece.text } : this.#action(piece.action, depth));
    }
    return nodes;
  }

  #action(action: string, depth: number): Node {
    if (action === 'break' || action === 'continue') {
      return { kind: action };
    }
    const [, keyword, rest = ''] = /^(if|range|with)\s+(.*)$/s.exec(action) ?? [];
    if (keyword === 'if' || keyword === 'range' || keyword === 'with') {
      const [assign, pipe] = readAssign(rest, keyword === 'range' ? 2 : 1);
      const then = this.block(depth + 1);
      return { kind: keyword, assign, pipe: parsePipe(pipe), then, otherwise: this.#elseAndEnd(depth + 1) };
    }
    const [assign, pipe] = readAssign(action, 1);
    return { kind: 'print', assign, pipe: parsePipe(pipe) };
  }

  #elseAndEnd(depth: number): Node[] {
    const piece = this.next();
    const action = piece && 'action' in piece ? piece.action : undefined;
    if (action === 'end') {
      return [];
    }
    if (action === undefined) {
      throw bad('a block without {{end}}');
    }
    if (/^else\s+(if|with)\s/.test(action)) {
      return [this.#action(action.replace(/^else\s+/, ''), depth)];
    }
    const nodes = this.block(depth);
    const end = this.next();
    if (end === undefined || !('action' in end) || end.action !== 'end') {
      throw bad('a block without {{end}}');
    }
    return nodes;
  }
}

/** The variables that an action sets, and the rest of the action. */
const readAssign = (text: string, most: number): [Assign | undefined, string] => {
  const [whole, names = '', sign] = /^((?:\$\w+\s*,\s*)?\$\w+)\s*(:?=)\s*/.exec(text) ?? [];
  if (whole === undefined) {
    return [undefined, text];
  }
  const list = names.split(',').map((name) => name.trim().slice(1));
  if (list.length > most) {
    throw bad(`${names}: only a range sets two variables`);
  }
  return [{ names: list, declares: sign === ':=' }, text.slice(whole.length)];
};

const parsePipe = (text: string): Pipe => {
  const tokens = tokenise(text);
  const pipe = readPipe(tokens, 0);
  if (tokens.length > 0) {
    throw bad(`unexpected ${tokens[0]}`);
  }
  return pipe;
};

const tokenise = (text: string): string[] => {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const start = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) {
      throw bad(`"${text.slice(start, start + 20)}" is not understood`);
    }
    if (match[0].trim() !== '') {
      tokens.push(match[0]);
    }
  }
  return tokens;
};

const readPipe = (tokens: string[], depth: number): Pipe => {
  if (depth > MAX_DEPTH) {
    throw bad('parentheses nested too deep');
  }
  const pipe: Operand[][] = [[]];
  for (let token = tokens[0]; token !== undefined && token !== ')'; token = tokens[0]) {
    tokens.shift();
    if (token === '|') {
      pipe.push([]);
    } else {
      pipe.at(-1)?.push(token === '(' ? readParens(tokens, depth) : readOperand(token));
    }
  }
  if (pipe.some((command) => command.length === 0)) {
    throw bad('an empty command');
  }
  return pipe;
};

const readParens = (tokens: string[], depth: number): Operand => {
  const pipe = readPipe(tokens, depth + 1);
  if (tokens.shift() !== ')') {
    throw bad('( without )');
  }
  const path = tokens[0]?.startsWith('.') && tokens[0] !== '.' ? (tokens.shift()?.slice(1).split('.') ?? []) : [];
  return { kind: 'pipe', pipe, path };
};

const readOperand = (token: string): Operand => {
  if (token.startsWith('"')) {
    return { kind: 'literal', value: unquote(token) };
  }
  if (token.startsWith('`')) {
    return { kind: 'literal', value: token.slice(1, -1) };
  }
  if (/^-?\d/.test(token)) {
    return { kind: 'literal', value: Number(token) };
  }
  if (token === 'true' || token === 'false') {
    return { kind: 'literal', value: token === 'true' };
  }
  if (token === 'nil') {
    return { kind: 'literal', value: null };
  }
  if (token.startsWith('$')) {
    const [name = '', ...path] = token.slice(1).split('.');
    return { kind: 'variable', name, path };
  }
  if (token.startsWith('.')) {
    return { kind: 'field', path: token.split('.').filter(Boolean) };
  }
  return { kind: 'function', name: token };
};

const unquote = (token: string): string => {
  try {
    return String(JSON.parse(token));
  } catch {
    throw bad(`${token} is not a string`);
  }
};

export const bad = (reason: string): HyprError =>
  new HyprError('HYPR_USAGE', `--format: the template is not understood: ${reason}`, {
    hint: "a template looks like: --format '{{.Name}}: {{.Status}}', or use --format json",
  });
