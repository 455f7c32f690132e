import { bad, type Command, type Node, type Operand, type Pipe, parseTemplate } from './template-parse.ts';

export type Template = (data: unknown) => string;

/**
 * Compiles a `--format` template: fields, `json`, `join`, `len`, `index`, `eq`, `printf`… and
 * if/range/with blocks, as docker's own templates use them. Throws HYPR_USAGE, also for unknown fields.
 */
export const compileTemplate = (text: string): Template => {
  const nodes = parseTemplate(text);
  return (data) => renderNodes(nodes, { dot: data, root: data });
};

/** Escapes a shell user types for a tab and a newline in `--format 'table {{.A}}\t{{.B}}'`. */
export const unescapeFormat = (text: string): string => text.replaceAll('\\t', '\t').replaceAll('\\n', '\n');

/** Names of the columns of a `table` template: `{{.Name}}\t{{.Status}}` → NAME, STATUS. */
export const templateHeaders = (text: string, headers: Readonly<Record<string, string>>): string =>
  compileTemplate(text)(new Proxy({}, { get: (_, key) => headers[String(key)] ?? String(key).toUpperCase(), has: () => true }));

interface Scope {
  readonly dot: unknown;
  readonly root: unknown;
}

const renderNodes = (nodes: readonly Node[], scope: Scope): string => nodes.map((node) => renderNode(node, scope)).join('');

const renderNode = (node: Node, scope: Scope): string => {
  if (node.kind === 'text') {
    return node.text;
  }
  const value = evaluatePipe(node.pipe, scope);
  if (node.kind === 'print') {
    return toText(value);
  }
  if (node.kind === 'range') {
    const items = Array.isArray(value) ? value : isRecord(value) ? sortedValues(value) : [];
    return items.length === 0 ? renderNodes(node.otherwise, scope) : items.map((dot) => renderNodes(node.then, { ...scope, dot })).join('');
  }
  if (!isTrue(value)) {
    return renderNodes(node.otherwise, scope);
  }
  return renderNodes(node.then, node.kind === 'with' ? { ...scope, dot: value } : scope);
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
  const args = [...rest.map((operand) => evaluateOperand(operand, scope)), ...piped];
  if (head.kind === 'function') {
    return callFunction(head.name, args);
  }
  if (head.kind === 'field' && head.path.at(-1) === 'Label' && args.length === 1) {
    const owner = readPath(head.root ? scope.root : scope.dot, head.path.slice(0, -1));
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
      return readPath(operand.root ? scope.root : scope.dot, operand.path);
    case 'pipe':
      return readPath(evaluatePipe(operand.pipe, scope), operand.path);
    case 'function':
      return callFunction(operand.name, []);
  }
};

const readPath = (start: unknown, path: readonly string[]): unknown => {
  let value = start;
  for (const name of path) {
    if (!isRecord(value) || !(Object.hasOwn(value, name) || isHeaderProbe(value, name))) {
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

const FUNCTIONS: Readonly<Record<string, (...args: unknown[]) => unknown>> = {
  json: (value) => JSON.stringify(value),
  upper: (value) => toText(value).toUpperCase(),
  lower: (value) => toText(value).toLowerCase(),
  title: (value) => toText(value).replace(/\b\p{L}/gu, (letter) => letter.toUpperCase()),
  split: (value, separator) => toText(value).split(toText(separator)),
  join: (values, separator) => (Array.isArray(values) ? values.map(toText).join(toText(separator)) : toText(values)),
  truncate: (value, length) => [...toText(value)].slice(0, Number(length)).join(''),
  println: (...values) => `${values.map(toText).join(' ')}\n`,
  print: (...values) => values.map(toText).join(''),
  printf: (format, ...values) => formatPrintf(toText(format), values),
  len: (value) => (Array.isArray(value) || typeof value === 'string' ? value.length : isRecord(value) ? Object.keys(value).length : 0),
  index: (value, key) =>
    Array.isArray(value) ? value[Number(key)] : isRecord(value) && Object.hasOwn(value, toText(key)) ? value[toText(key)] : '',
  eq: (first, ...others) => others.some((other) => other === first),
  ne: (first, second) => first !== second,
  lt: (first, second) => Number(first) < Number(second),
  gt: (first, second) => Number(first) > Number(second),
  le: (first, second) => Number(first) <= Number(second),
  ge: (first, second) => Number(first) >= Number(second),
  not: (value) => !isTrue(value),
  and: (...values) => values.find((value) => !isTrue(value)) ?? values.at(-1),
  or: (...values) => values.find(isTrue) ?? values.at(-1),
};

const callFunction = (name: string, args: readonly unknown[]): unknown => {
  const call = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  if (call === undefined) {
    throw bad(`there is no function ${name} (there are: ${Object.keys(FUNCTIONS).join(', ')})`);
  }
  return call(...args);
};

const formatPrintf = (format: string, values: readonly unknown[]): string => {
  const rest = [...values];
  return format.replace(/%(-?\d*)([svdq%])/g, (_, width: string, verb: string) => {
    if (verb === '%') {
      return '%';
    }
    const text = verb === 'q' ? JSON.stringify(toText(rest.shift())) : toText(rest.shift());
    const size = Math.min(Math.abs(Number(width)), 1000);
    return width.startsWith('-') ? text.padEnd(size) : text.padStart(size);
  });
};

/** How Go prints a value: lists as `[a b]`, maps as `map[k:v]`. */
const toText = (value: unknown): string => {
  if (value === undefined || value === null) {
    return '';
  }
  if (Array.isArray(value)) {
    return `[${value.map(toText).join(' ')}]`;
  }
  if (isRecord(value)) {
    const parts = Object.keys(value).sort();
    return `map[${parts.map((key) => `${key}:${toText(value[key])}`).join(' ')}]`;
  }
  return String(value);
};

const isTrue = (value: unknown): boolean =>
  Array.isArray(value) ? value.length > 0 : isRecord(value) ? Object.keys(value).length > 0 : Boolean(value);

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

const sortedValues = (value: Record<string, unknown>): unknown[] =>
  Object.keys(value)
    .sort()
    .map((key) => value[key]);
