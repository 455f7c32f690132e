import { HyprError } from '../../base/errors.ts';
import { formatDuration } from '../../base/go-text.ts';
import { splitWords } from '../model/shell-words.ts';
import { parseBytes, parseNanoseconds } from '../model/units.ts';
import type { Scalar, Struct, Type } from '../schema/field-types.ts';
import { describeKind, isNull, type MapNode, type Node, type Path, textOf, textOfNode, toPlain, toPrinted } from '../source/node.ts';
import { formatPath } from '../source/path-table.ts';
import { errorAt } from '../source/source.ts';

/**
 * A node as the canonical value of its type: what docker compose prints. Attributes that say nothing
 * (empty text, false, 0, empty lists) are left out, except where leaving out means something else.
 * @throws COMPOSE_INVALID at a value that has not its type
 */
export const bindStruct = (node: MapNode, type: Struct, path: Path): Record<string, unknown> => {
  const out: Record<string, unknown> = {};
  for (const [name, fieldType] of Object.entries(type.fields)) {
    const value = node.entries.get(name);
    const bound = value === undefined ? undefined : bindValue(value, fieldType, [...path, name]);
    if (bound !== undefined) {
      out[name] = bound;
    }
  }
  for (const key of [...node.entries.keys()].filter((name) => name.startsWith('x-')).sort()) {
    const value = node.entries.get(key);
    out[key] = value === undefined ? null : toPrinted(value);
  }
  return out;
};

/** Sets any key, `__proto__` too. */
export const setKey = (target: object, key: string, value: unknown): void => {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
};

const bindValue = (node: Node, type: Type, path: Path): unknown => {
  if (isNull(node)) {
    return undefined;
  }
  switch (type.kind) {
    case 'struct': {
      const bound = bindStruct(expectMap(node, path), type, path);
      return type.omitEmpty === true && Object.keys(bound).length === 0 ? undefined : bound;
    }
    case 'list': {
      const items = itemsOf(node).map((item, i) => bindValue(item, type.of, [...path, `[${i}]`]) ?? {});
      return items.length === 0 ? undefined : items;
    }
    case 'map':
      return bindMap(expectMap(node, path), type.of, path);
    default:
      return bindScalar(node, type.kind, type.keepZero === true, path);
  }
};

const bindMap = (node: MapNode, of: Type, path: Path): Record<string, unknown> | undefined => {
  const out: Record<string, unknown> = {};
  for (const [key, value] of node.entries) {
    // An extension beside user-defined names stays what it is.
    setKey(out, key, bindValue(value, of, [...path, key]) ?? null);
  }
  return node.entries.size === 0 ? undefined : out;
};

const bindScalar = (node: Node, kind: Scalar, keepZero: boolean, path: Path): unknown => {
  try {
    const value = BINDERS[kind](node, path);
    return !keepZero && isZero(value, kind) ? undefined : value;
  } catch (error) {
    if (error instanceof HyprError && error.where === undefined) {
      throw errorAt(error.code, `${formatPath(path)}: ${error.message}`, { mark: node.mark, hint: error.hint });
    }
    throw error;
  }
};

const isZero = (value: unknown, kind: Scalar): boolean => {
  if (kind === 'command' || kind === 'any') {
    return false;
  }
  if (kind === 'optOut') {
    return value === true;
  }
  if (Array.isArray(value)) {
    return value.length === 0;
  }
  if (typeof value === 'object' && value !== null) {
    return Object.keys(value).length === 0;
  }
  return value === '' || value === 0 || value === false || (kind === 'bytes' && value === '0') || (kind === 'duration' && value === '0s');
};

const wrong = (node: Node, path: Path, wanted: string) =>
  errorAt('COMPOSE_INVALID', `${formatPath(path)} must be ${wanted}, not ${describeKind(node)}`, { mark: node.mark });

const expectMap = (node: Node, path: Path): MapNode => {
  if (node.kind !== 'map') {
    throw wrong(node, path, 'a mapping');
  }
  return node;
};

const itemsOf = (node: Node): readonly Node[] => (node.kind === 'list' ? node.items : [node]);

const textIn = (node: Node, path: Path): string => {
  if (node.kind !== 'scalar') {
    throw wrong(node, path, 'text');
  }
  return textOfNode(node);
};

/** Docker compose makes text of a whole number of 63 bits and of nothing, but neither of a float nor of true. */
const textOrInteger = (node: Node, path: Path): string => {
  const value = node.kind === 'scalar' && node.date !== true && node.float !== true ? node.value : undefined;
  if (value === undefined || typeof value === 'boolean' || (typeof value === 'bigint' && value > MAX_INT64)) {
    throw wrong(node, path, 'text or a whole number');
  }
  return textOf(value);
};

const MAX_INT64 = (1n << 63n) - 1n;

const numberIn = (node: Node, path: Path, wanted: string): number => {
  const value = node.kind === 'scalar' ? node.value : undefined;
  const number =
    typeof value === 'number'
      ? value
      : typeof value === 'bigint' || (typeof value === 'string' && value.trim() !== '')
        ? Number(value)
        : Number.NaN;
  if (Number.isNaN(number)) {
    throw errorAt(
      'COMPOSE_INVALID',
      `${formatPath(path)} must be ${wanted}, not "${node.kind === 'scalar' ? textOf(node.value) : describeKind(node)}"`,
      {
        mark: node.mark,
      },
    );
  }
  return number;
};

/** Key and value of each entry, whether written as a mapping or as a list of `key=value`. */
const pairsOf = (node: Node, path: Path): Array<readonly [string, string | null]> => {
  if (node.kind === 'map') {
    return [...node.entries].map(([key, value]) => {
      if (value.kind !== 'scalar') {
        throw wrong(value, [...path, key], 'text');
      }
      return [key, isNull(value) ? null : textOfNode(value)] as const;
    });
  }
  return itemsOf(node).map((item, i) => {
    const text = textIn(item, [...path, `[${i}]`]);
    const equals = text.indexOf('=');
    const key = equals === -1 ? text : text.slice(0, equals);
    if (/\s$/.test(key)) {
      throw errorAt('COMPOSE_INVALID', `${formatPath(path)}: the name "${key}" ends in a blank`, {
        mark: item.mark,
        hint: 'remove the blank before "="',
      });
    }
    return [key, equals === -1 ? null : text.slice(equals + 1)] as const;
  });
};

const recordOf = (pairs: Iterable<readonly [string, unknown]>): Record<string, unknown> => {
  const out: Record<string, unknown> = {};
  for (const [key, value] of pairs) {
    setKey(out, key, value);
  }
  return out;
};

const texts = (node: Node, path: Path): string[] => itemsOf(node).map((item, i) => textIn(item, [...path, `[${i}]`]));

const words = (node: Node, path: Path): string[] => {
  if (node.kind !== 'scalar') {
    return texts(node, path);
  }
  const split = splitWords(textIn(node, path));
  if (split === undefined) {
    throw errorAt(
      'COMPOSE_INVALID',
      `${formatPath(path)} is not a command line: a quote, backtick or parenthesis is not closed, or opened without a $`,
      {
        mark: node.mark,
        hint: 'quote it, or write the command as a list: ["sh", "-c", "…"]',
      },
    );
  }
  return split;
};

const boolIn = (node: Node, path: Path): boolean => {
  const value = node.kind === 'scalar' ? node.value : undefined;
  if (typeof value === 'boolean') {
    return value;
  }
  const word = typeof value === 'string' ? BOOLEANS.get(value.toLowerCase()) : undefined;
  if (word === undefined) {
    throw errorAt('COMPOSE_INVALID', `${formatPath(path)} must be true or false, not "${textIn(node, path)}"`, { mark: node.mark });
  }
  return word;
};

const BOOLEANS = new Map<string, boolean>([
  ...['true', 'y', 'yes', 'on'].map((text) => [text, true] as const),
  ...['false', 'n', 'no', 'off'].map((text) => [text, false] as const),
]);

const intIn = (node: Node, path: Path): number => {
  const number = numberIn(node, path, 'a whole number');
  if (!Number.isInteger(number)) {
    throw errorAt('COMPOSE_INVALID', `${formatPath(path)} must be a whole number, not ${number}`, { mark: node.mark });
  }
  // -0 is a float in YAML, and 0 as a whole number.
  return number + 0;
};

/** Rounded to single precision, as compose keeps it, and written with the fewest digits. */
const floatIn = (node: Node, path: Path): number => {
  const number = numberIn(node, path, 'a number');
  const single = Math.fround(number);
  for (let digits = 1; digits <= 9 && Number.isFinite(single); digits++) {
    const short = Number(single.toPrecision(digits));
    if (Math.fround(short) === single) {
      return short;
    }
  }
  return number;
};

const hostsIn = (node: Node, path: Path): string[] => {
  const lines: string[] = [];
  const add = (host: string, addresses: readonly string[], item: Node) => {
    if (host === '' || /[:=]/.test(host)) {
      throw errorAt('COMPOSE_INVALID', `${formatPath(path)}: "${host}" is not a host name`, { mark: item.mark });
    }
    lines.push(...addresses.map((address) => `${host}=${address.replace(/^\[(.+)\]$/, '$1')}`));
  };
  if (node.kind === 'map') {
    for (const [host, value] of node.entries) {
      add(host, isNull(value) ? [''] : texts(value, [...path, host]), value);
    }
    return lines.sort();
  }
  for (const item of itemsOf(node)) {
    const text = textIn(item, path);
    const separator = text.includes('=') ? '=' : ':';
    const at = text.indexOf(separator);
    if (at === -1) {
      throw errorAt('COMPOSE_INVALID', `${formatPath(path)}: "${text}" has no address`, { mark: item.mark, hint: 'write HOST=ADDRESS' });
    }
    add(text.slice(0, at), text.slice(at + 1).split(','), item);
  }
  return lines.sort();
};

const BINDERS: Record<Scalar, (node: Node, path: Path) => unknown> = {
  text: textIn,
  bool: boolIn,
  optOut: boolIn,
  int: intIn,
  float: floatIn,
  bytes: (node, path) => {
    const value = node.kind === 'scalar' ? node.value : undefined;
    return typeof value === 'bigint' ? String(value) : String(parseBytes(textIn(node, path)));
  },
  duration: (node, path) => formatDuration(parseNanoseconds(textIn(node, path))),
  strings: texts,
  command: words,
  healthTest: (node, path) => (node.kind === 'scalar' ? ['CMD-SHELL', textIn(node, path)] : texts(node, path)),
  mapping: (node, path) => recordOf(pairsOf(node, path).map(([key, value]) => [key, value ?? ''] as const)),
  environment: (node, path) => recordOf(pairsOf(node, path)),
  hosts: hostsIn,
  fileMode: (node, path) => {
    const value = node.kind === 'scalar' ? node.value : undefined;
    const mode = typeof value === 'string' ? Number.parseInt(/^0?o?([0-7]+)$/.exec(value)?.[1] ?? 'x', 8) : intIn(node, path);
    if (Number.isNaN(mode)) {
      throw errorAt('COMPOSE_INVALID', `${formatPath(path)}: "${textIn(node, path)}" is not an octal mode`, {
        mark: node.mark,
        hint: 'e.g. 0440',
      });
    }
    return `0${mode.toString(8)}`;
  },
  deviceCount: (node, path) => (textIn(node, path).toLowerCase() === 'all' ? -1 : intIn(node, path)),
  ulimit: (node, path) => {
    if (node.kind !== 'map') {
      const single = intIn(node, path);
      // As compose writes it; a zero alone would be a value that says nothing.
      return single === 0 ? { soft: 0, hard: 0 } : single;
    }
    const part = (name: string): number => {
      const value = node.entries.get(name);
      return value === undefined ? 0 : intIn(value, [...path, name]);
    };
    return { soft: part('soft'), hard: part('hard') };
  },
  options: (node, path) => recordOf(pairsOf(node, path).map(([key, value]) => [key, value ?? ''] as const)),
  textOptions: (node, path) =>
    recordOf([...expectMap(node, path).entries].map(([key, value]) => [key, textOrInteger(value, [...path, key])] as const)),
  multiOptions: (node, path) =>
    recordOf([...expectMap(node, path).entries].map(([key, value]) => [key, texts(value, [...path, key])] as const)),
  ssh: (node, path) =>
    pairsOf(node, path)
      .map(([key, value]) => (value === null || value === '' ? key : `${key}=${value}`))
      .sort(),
  any: (node) => toPlain(node),
};
