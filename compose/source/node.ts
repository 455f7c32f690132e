import type { Mark } from './source.ts';
import { goTime, readTimestamp, rfc3339, type Timestamp } from './timestamp.ts';

/**
 * The model between parsing and binding: a tree that remembers where each value came from. Nodes are
 * never changed once made, so that aliases and extended services can share them.
 */
export type Node = MapNode | ListNode | ScalarNode;

export interface MapNode extends NodeBase {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, Node>;
}

export interface ListNode extends NodeBase {
  readonly kind: 'list';
  readonly items: readonly Node[];
}

export interface ScalarNode extends NodeBase {
  readonly kind: 'scalar';
  readonly value: ScalarValue;
  /** An unquoted YAML timestamp; its text is `value`. Nothing in Compose takes one. */
  readonly date?: boolean;
  /** The text before interpolation. */
  readonly template?: string;
  /** Written as a floating-point number. */
  readonly float?: boolean;
}

export type ScalarValue = string | number | bigint | boolean | null;

interface NodeBase {
  /** Position of the value. */
  readonly mark: Mark;
  /** Position of its key, for values of a mapping. */
  readonly keyMark?: Mark;
  /** The values that this one replaced, latest first (`config --explain`). */
  readonly lost?: readonly Node[];
  /** The values that `!reset` and `!override` of later files removed from this mapping, by key. */
  readonly removed?: ReadonlyMap<string, Node>;
}

export type Path = readonly string[];

export const scalar = (value: ScalarValue, from: { mark: Mark; keyMark?: Mark }): ScalarNode => ({
  kind: 'scalar',
  value,
  ...marksOf(from),
});

export const list = (items: readonly Node[], from: { mark: Mark; keyMark?: Mark }): ListNode => ({ kind: 'list', items, ...marksOf(from) });

export const map = (entries: Iterable<readonly [string, Node]>, from: { mark: Mark; keyMark?: Mark }): MapNode => ({
  kind: 'map',
  entries: new Map(entries),
  ...marksOf(from),
});

/** A copy with some entries set; `undefined` removes one. */
export const withEntries = (node: MapNode, changes: Record<string, Node | undefined>): MapNode => {
  const entries = new Map(node.entries);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) {
      entries.delete(key);
    } else {
      entries.set(key, value);
    }
  }
  return { ...node, entries };
};

export const isNull = (node: Node | undefined): boolean => node === undefined || (node.kind === 'scalar' && node.value === null);

export const stringOf = (node: Node | undefined): string | undefined =>
  node?.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined;

export const mapAt = (node: Node | undefined, key: string): MapNode | undefined => {
  const value = node?.kind === 'map' ? node.entries.get(key) : undefined;
  return value?.kind === 'map' ? value : undefined;
};

/**
 * The deepest node on a path that exists, and how many parts of the path led to it. A part finds an item of a list by `[index]` or, in lists of NAME=value,
 * by name.
 */
export const nearestNode = (root: Node, path: Path): { node: Node; depth: number } => {
  let node = root;
  for (const [depth, part] of path.entries()) {
    const next = node.kind === 'map' ? node.entries.get(part) : node.kind === 'list' ? itemAt(node.items, part) : undefined;
    if (next === undefined) {
      return { node, depth };
    }
    node = next;
  }
  return { node, depth: path.length };
};

/** Of several items with one name the last counts. */
const itemAt = (items: readonly Node[], part: string): Node | undefined => {
  const index = /^\[?(\d+)\]?$/.exec(part)?.[1];
  return index === undefined ? items.findLast((item) => stringOf(item)?.split('=', 1)[0] === part) : items[Number(index)];
};

export type Plain = ScalarValue | Written | Plain[] | { [key: string]: Plain };

/** A value that is printed in another way than its text or number would be. In JSON it is `json`. */
export class Written {
  readonly yaml: string;
  readonly json: string | number;

  constructor(yaml: string, json: string | number) {
    this.yaml = yaml;
    this.json = json;
  }

  toJSON(): string | number {
    return this.json;
  }
}

/** Plain values; mappings become objects without a prototype, so that `__proto__` is an ordinary key. */
export const toPlain = (node: Node): Plain => plainOf(node, ({ value }) => value);

/** The same to be printed: a date is the time that Go made of it, and a number that was written as a float keeps that form. */
export const toPrinted = (node: Node): Plain => plainOf(node, printed);

const plainOf = (node: Node, ofScalar: (node: ScalarNode) => Plain): Plain => {
  if (node.kind === 'scalar') {
    return ofScalar(node);
  }
  if (node.kind === 'list') {
    return node.items.map((item) => plainOf(item, ofScalar));
  }
  const out: { [key: string]: Plain } = Object.create(null);
  for (const [key, value] of node.entries) {
    out[key] = plainOf(value, ofScalar);
  }
  return out;
};

const printed = (node: ScalarNode): Plain => {
  const time = timeOf(node);
  if (time !== undefined) {
    return new Written(rfc3339(time), rfc3339(time));
  }
  const { value, float } = node;
  return float === true && typeof value === 'number' && Number.isInteger(value) && formatFloat(value) !== String(value)
    ? new Written(formatFloat(value), value)
    : value;
};

const timeOf = ({ date, value }: ScalarNode): Timestamp | undefined => (date === true ? readTimestamp(String(value)) : undefined);

/** The value as Go prints it with `%v`, which list forms of mappings contain. */
export const textOf = (value: ScalarValue): string => {
  if (value === null) {
    return '';
  }
  return typeof value === 'number' && (!Number.isInteger(value) || Object.is(value, -0)) ? formatFloat(value) : String(value);
};

/** The text of a scalar; a number that was written as a float keeps that form (`1e6` is `1e+06`). */
export const textOfNode = (node: ScalarNode): string => {
  const time = timeOf(node);
  if (time !== undefined) {
    return goTime(time);
  }
  return typeof node.value === 'number' && node.float === true ? formatFloat(node.value) : textOf(node.value);
};

/** Go's shortest form of a float: with an exponent below -4 or from 6 on (`%v`); it knows a negative zero. */
export const formatFloat = (value: number): string => {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
  }
  if (value === 0) {
    return Object.is(value, -0) ? '-0' : '0';
  }
  const exponential = value.toExponential();
  const exponent = Number(exponential.slice(exponential.indexOf('e') + 1));
  return exponent < -4 || exponent >= FIRST_EXPONENT ? exponential.replace(/e([-+])(\d)$/, 'e$10$2') : String(value);
};

const FIRST_EXPONENT = 6;

export const sameNodes = (a: Node, b: Node): boolean => {
  if (a === b) {
    return true;
  }
  if (a.kind === 'scalar' && b.kind === 'scalar') {
    return a.value === b.value;
  }
  if (a.kind === 'list' && b.kind === 'list') {
    return a.items.length === b.items.length && a.items.every((item, i) => sameNodes(item, b.items[i] ?? item));
  }
  if (a.kind === 'map' && b.kind === 'map') {
    return (
      a.entries.size === b.entries.size &&
      [...a.entries].every(([key, value]) => {
        const other = b.entries.get(key);
        return other !== undefined && sameNodes(value, other);
      })
    );
  }
  return false;
};

export const describeKind = (node: Node): string =>
  node.kind === 'map' ? 'a mapping' : node.kind === 'list' ? 'a list' : node.value === null ? 'nothing' : `a ${typeof node.value}`;

const marksOf = (from: { mark: Mark; keyMark?: Mark }) =>
  from.keyMark === undefined ? { mark: from.mark } : { mark: from.mark, keyMark: from.keyMark };
