import { FUNCTIONS, isRecord, isTrue, toText } from './template-functions.ts';
import { type Assign, bad, type Command, type Node, type Operand, type Pipe, parseTemplate } from './template-parse.ts';

export type Template = (data: unknown) => string;

/**
 * Compiles a `--format` template: Go's text/template with docker's functions, but for templates within templates. Throws
 * HYPR_USAGE, also for fields that are not there, unless it is only asked whether they are (`if`, `with`, `range`, `and`, `or`, `not`).
 */
export const compileTemplate = (text: string): Template => {
  const nodes = parseTemplate(text);
  return (data) => {
    const out: string[] = [];
    renderNodes(nodes, { dot: data, variables: new Variables(undefined, [['', data]]) }, out);
    return out.join('');
  };
};

/** Replaces the escapes for a tab and a newline that users type in `--format 'table {{.A}}\t{{.B}}'`. */
export const unescapeFormat = (text: string): string => text.replaceAll('\\t', '\t').replaceAll('\\n', '\n');

/** Names of the columns of a `table` template: `{{.Name}}\t{{.Status}}` → NAME, STATUS. */
export const templateHeaders = (text: string, headers: Readonly<Record<string, string>>): string =>
  compileTemplate(text)(new Proxy({}, { get: (_, key) => headers[String(key)] ?? String(key).toUpperCase(), has: () => true }));

/** The variables of a block, and those of the enclosing blocks. */
class Variables {
  readonly #outer: Variables | undefined;
  readonly #own: Map<string, unknown>;

  constructor(outer: Variables | undefined, own: Iterable<readonly [string, unknown]> = []) {
    this.#outer = outer;
    this.#own = new Map(own);
  }

  get(name: string): unknown {
    return this.#owner(name).#own.get(name);
  }

  set(name: string, value: unknown, declares: boolean): void {
    (declares ? this : this.#owner(name)).#own.set(name, value);
  }

  #owner(name: string): Variables {
    if (this.#own.has(name)) {
      return this;
    }
    if (this.#outer === undefined) {
      throw bad(`there is no variable $${name}`);
    }
    return this.#outer.#owner(name);
  }
}

interface Scope {
  readonly dot: unknown;
  readonly variables: Variables;
  /** A missing field is nil, not an error. */
  readonly lenient?: boolean;
}

/** `break` and `continue` in a range. */
type Leap = 'break' | 'continue' | undefined;

const renderNodes = (nodes: readonly Node[], scope: Scope, out: string[]): Leap => {
  for (const node of nodes) {
    const leap = renderNode(node, scope, out);
    if (leap !== undefined) {
      return leap;
    }
  }
  return undefined;
};

const renderNode = (node: Node, scope: Scope, out: string[]): Leap => {
  switch (node.kind) {
    case 'text':
      out.push(node.text);
      return undefined;
    case 'break':
    case 'continue':
      return node.kind;
    case 'print': {
      const value = evaluatePipe(node.pipe, scope);
      if (node.assign === undefined) {
        out.push(toText(value));
      } else {
        assign(node.assign, [value], scope.variables);
      }
      return undefined;
    }
    default:
      return renderBlock(node, { ...scope, variables: new Variables(scope.variables) }, out);
  }
};

const renderBlock = (node: Extract<Node, { kind: 'if' | 'range' | 'with' }>, scope: Scope, out: string[]): Leap => {
  const value = evaluatePipe(node.pipe, { ...scope, lenient: true });
  if (node.kind === 'range') {
    return renderRange(node, { scope, value }, out);
  }
  assign(node.assign, [value], scope.variables);
  if (!isTrue(value)) {
    return renderNodes(node.otherwise, scope, out);
  }
  return renderNodes(node.then, node.kind === 'with' ? { ...scope, dot: value } : scope, out);
};

const renderRange = (
  node: Extract<Node, { kind: 'if' | 'range' | 'with' }>,
  { scope, value }: { readonly scope: Scope; readonly value: unknown },
  out: string[],
): Leap => {
  if (typeof value === 'number' && node.assign?.names.length === 2) {
    throw bad('a range over a number sets one variable');
  }
  const entries = entriesOf(value);
  if (entries.length === 0) {
    return renderNodes(node.otherwise, scope, out);
  }
  for (const [key, dot] of entries) {
    const variables = new Variables(scope.variables);
    assign(node.assign, node.assign?.names.length === 2 ? [key, dot] : [dot], variables);
    if (renderNodes(node.then, { dot, variables }, out) === 'break') {
      break;
    }
  }
  return undefined;
};

/** The elements of a range: those of a map in the order of its keys; for a number, the numbers below it. */
const entriesOf = (value: unknown): Array<readonly [unknown, unknown]> => {
  if (Array.isArray(value)) {
    return [...value.entries()];
  }
  if (typeof value === 'number') {
    return Array.from({ length: Math.min(Math.max(value, 0), MOST_ROUNDS) }, (_, index) => [index, index]);
  }
  return isRecord(value)
    ? Object.keys(value)
        .sort()
        .map((key) => [key, value[key]])
    : [];
};

const MOST_ROUNDS = 100_000;

const assign = (to: Assign | undefined, values: readonly unknown[], variables: Variables): void => {
  for (const [index, name] of (to?.names ?? []).entries()) {
    variables.set(name, values[index], to?.declares === true);
  }
};

const evaluatePipe = (pipe: Pipe, scope: Scope): unknown => {
  let value: unknown;
  for (const [index, command] of pipe.entries()) {
    value = evaluateCommand(command, scope, index === 0 ? [] : [value]);
  }
  return value;
};

const evaluateCommand = (command: Command, scope: Scope, piped: readonly unknown[]): unknown => {
  const [head, ...rest] = command;
  if (head === undefined) {
    throw bad('an empty command');
  }
  if (head.kind === 'function') {
    return callFunction(head.name, { operands: rest, piped, scope });
  }
  const args = [...rest.map((operand) => evaluateOperand(operand, scope)), ...piped];
  if ((head.kind === 'field' || head.kind === 'variable') && head.path.at(-1) === 'Label' && args.length === 1) {
    const owner = evaluateOperand({ ...head, path: head.path.slice(0, -1) }, scope);
    return label(owner, String(args[0]));
  }
  if (args.length > 0) {
    throw bad('a field takes no arguments');
  }
  return evaluateOperand(head, scope);
};

const evaluateOperand = (operand: Operand, scope: Scope): unknown => {
  switch (operand.kind) {
    case 'literal':
      return operand.value;
    case 'field':
      return readPath(scope.dot, operand.path, scope);
    case 'variable':
      return readPath(scope.variables.get(operand.name), operand.path, scope);
    case 'pipe':
      return readPath(evaluatePipe(operand.pipe, scope), operand.path, scope);
    case 'function':
      return callFunction(operand.name, { operands: [], piped: [], scope });
  }
};

const readPath = (start: unknown, path: readonly string[], { lenient }: Scope): unknown => {
  let value = start;
  for (const part of path) {
    // Go's name of the field that JSON calls Id.
    const name = part === 'ID' && isRecord(value) && !Object.hasOwn(value, 'ID') && Object.hasOwn(value, 'Id') ? 'Id' : part;
    if (!isRecord(value) || !(Object.hasOwn(value, name) || isHeaderProbe(value, name))) {
      if (lenient === true) {
        return undefined;
      }
      throw bad(`there is no field .${name}${isRecord(value) ? ` (there are: ${Object.keys(value).join(', ')})` : ''}`);
    }
    value = value[name];
  }
  return value;
};

// The proxy of templateHeaders has every name and owns none.
const isHeaderProbe = (value: Record<string, unknown>, name: string): boolean =>
  Object.keys(value).length === 0 && name in value && !(name in {});

/** `.Label "key"` of docker's formatters, read from the joined `Labels`. */
const label = (owner: unknown, key: string): string => {
  const labels = isRecord(owner) ? owner.Labels : undefined;
  const pair = String(labels ?? '')
    .split(',')
    .find((candidate) => candidate.startsWith(`${key}=`));
  return pair?.slice(key.length + 1) ?? '';
};

interface Call {
  readonly operands: readonly Operand[];
  readonly piped: readonly unknown[];
  readonly scope: Scope;
}

const callFunction = (name: string, { operands, piped, scope }: Call): unknown => {
  if (name === 'and' || name === 'or') {
    return decide(name, { operands, piped, scope: { ...scope, lenient: true } });
  }
  const call = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  if (call === undefined) {
    throw bad(`there is no function ${name} (there are: and, or, ${Object.keys(FUNCTIONS).join(', ')})`);
  }
  const inner = name === 'not' ? { ...scope, lenient: true } : scope;
  return call(...operands.map((operand) => evaluateOperand(operand, inner)), ...piped);
};

/** Arguments after the one that decides are not evaluated. */
const decide = (name: 'and' | 'or', { operands, piped, scope }: Call): unknown => {
  let value: unknown;
  for (const read of [...operands.map((operand) => () => evaluateOperand(operand, scope)), ...piped.map((given) => () => given)]) {
    value = read();
    if (isTrue(value) === (name === 'or')) {
      return value;
    }
  }
  return value;
};
