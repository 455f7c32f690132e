import type { Node, Path, ScalarNode } from '../source/node.ts';
import { formatFloat, textOf } from '../source/node.ts';
import type { Schema } from './compose-spec.ts';

/** What is wrong: `name` is a key that may not be called so, `pattern` and `enum` are about a value. */
export type ViolationKind = 'type' | 'unknown-key' | 'name' | 'missing' | 'duplicate' | 'enum' | 'pattern' | 'range';

/** The first way in which a value does not follow its schema. */
export interface Violation {
  readonly kind: ViolationKind;
  readonly path: Path;
  /** The value, or the one whose key is wrong. */
  readonly node: Node;
  /** For display only: no decision may depend on it. */
  readonly message: string;
  /** For a value of another type: those that the schema has here, in its words (`array`, `object` …). */
  readonly types?: readonly string[];
  /** The required attribute that is missing. */
  readonly missing?: string;
  /** The key or word that was written, and the ones that are allowed. */
  readonly unknown?: { readonly written: string; readonly known: readonly string[] };
}

/**
 * Reads the schema directly instead of compiling it: no start-up cost (a compiled validator of this
 * schema takes a third of a second to make), and of a `oneOf` it reports the branch that was meant.
 */
export const findViolation = (node: Node, schema: Schema, path: Path = []): Violation | undefined =>
  checkFinite(node, path) ??
  (schema.oneOf !== undefined ? checkOneOf(node, schema.oneOf, path) : (checkType(node, schema, path) ?? checkContent(node, schema, path)));

/** JSON, in which docker compose checks the model, has no such numbers, wherever they are. */
const checkFinite = (node: Node, path: Path): Violation | undefined =>
  node.kind === 'scalar' && typeof node.value === 'number' && !Number.isFinite(node.value)
    ? { kind: 'type', path, node, message: `must not be ${formatFloat(node.value)}, which is a number only in YAML: quote it if it is text` }
    : undefined;

const checkContent = (node: Node, schema: Schema, path: Path): Violation | undefined => {
  switch (node.kind) {
    case 'map':
      return checkMap(node, schema, path);
    case 'list':
      return checkList(node, schema, path);
    default:
      return checkScalar(node, schema, path);
  }
};

/** Only the branches for this kind of value count; if there is exactly one, its violation is reported. */
const checkOneOf = (node: Node, branches: readonly Schema[], path: Path): Violation | undefined => {
  const violations: Violation[] = [];
  for (const branch of branches) {
    const violation = findViolation(node, branch, path);
    if (violation === undefined) {
      return undefined;
    }
    violations.push(violation);
  }
  const deepest = violations.filter((violation) => !(violation.node === node && violation.kind === 'type'));
  if (deepest.length > 0) {
    return deepest.reduce((best, violation) => (violation.path.length > best.path.length ? violation : best));
  }
  const wanted = [...new Set(branches.flatMap((branch) => typesOf(branch)))];
  if (node.kind === 'scalar' && node.date === true) {
    return { kind: 'type', path, node, message: `must be ${wanted.map(nameType).join(' or ')}, not a date: quote it ("${textOf(node.value)}")` };
  }
  return { kind: 'type', path, node, types: wanted, message: `must be ${wanted.map(nameType).join(' or ')}, not ${describe(node)}` };
};

const typesOf = (schema: Schema): string[] =>
  schema.oneOf !== undefined ? schema.oneOf.flatMap(typesOf) : schema.type === undefined ? [] : [schema.type].flat();

const checkType = (node: Node, schema: Schema, path: Path): Violation | undefined => {
  if (node.kind === 'scalar' && node.date === true && schema.type !== undefined && !takesAnyScalar(schema)) {
    return { kind: 'type', path, node, message: `must be ${listTypes(schema)}, not a date: quote it ("${textOf(node.value)}")` };
  }
  const types = typesOf(schema);
  if (types.length === 0 || types.some((type) => isOfType(node, type))) {
    return undefined;
  }
  return { kind: 'type', path, node, types, message: `must be ${listTypes(schema)}, not ${describe(node)}` };
};

/** Values of environments and labels may be anything; a date there becomes text. */
const takesAnyScalar = (schema: Schema): boolean => ['string', 'number'].every((type) => typesOf(schema).includes(type));

const listTypes = (schema: Schema): string => typesOf(schema).map(nameType).join(' or ');

const isOfType = (node: Node, type: string): boolean => {
  switch (type) {
    case 'object':
      return node.kind === 'map';
    case 'array':
      return node.kind === 'list';
    case 'null':
      return node.kind === 'scalar' && node.value === null;
    case 'integer':
      return node.kind === 'scalar' && (typeof node.value === 'bigint' || Number.isInteger(node.value));
    case 'number':
      return node.kind === 'scalar' && (typeof node.value === 'bigint' || typeof node.value === 'number');
    default:
      return node.kind === 'scalar' && typeof node.value === type;
  }
};

const ANYTHING: Schema = {};

const checkMap = (node: Node & { kind: 'map' }, schema: Schema, path: Path): Violation | undefined => {
  const { properties = {}, patternProperties = {} } = schema;
  for (const [key, value] of node.entries) {
    const schemas = Object.hasOwn(properties, key) ? [properties[key]] : [];
    schemas.push(...Object.entries(patternProperties).flatMap(([pattern, sub]) => (patternOf(pattern).test(key) ? [sub] : [])));
    if (schemas.length === 0 && schema.additionalProperties === false) {
      return { path, node: value, ...unknownKey(key, Object.keys(properties)) };
    }
    for (const sub of schemas.length === 0 ? [ANYTHING] : schemas) {
      const violation = sub === undefined ? undefined : findViolation(value, sub, [...path, key]);
      if (violation !== undefined) {
        return violation;
      }
    }
  }
  // Checked last: a missing attribute is often present under a mistyped name, which has been reported by then.
  const missing = schema.required?.find((required) => !node.entries.has(required));
  return missing === undefined ? undefined : { kind: 'missing', path, node, message: `needs "${missing}"`, missing };
};

const unknownKey = (key: string, known: string[]): Pick<Violation, 'kind' | 'message' | 'unknown'> =>
  known.length === 0
    ? { kind: 'name', message: `the name "${key.slice(0, 80)}" may only have letters, digits, ".", "_" and "-"` }
    : { kind: 'unknown-key', message: `"${key.slice(0, 80)}" is not known here`, unknown: { written: key, known } };

const checkList = (node: Node & { kind: 'list' }, schema: Schema, path: Path): Violation | undefined => {
  const seen = new Set<string>();
  for (const [i, item] of node.items.entries()) {
    const at = [...path, `[${i}]`];
    const violation = findViolation(item, schema.items ?? ANYTHING, at);
    if (violation !== undefined) {
      return violation;
    }
    if (schema.uniqueItems === true) {
      const key = identity(item);
      if (seen.has(key)) {
        return { kind: 'duplicate', path: at, node: item, message: 'is in the list twice' };
      }
      seen.add(key);
    }
  }
  return undefined;
};

/** A text that two values share if and only if they are equal. */
const identity = (node: Node): string => {
  if (node.kind === 'scalar') {
    return `${typeof node.value}:${JSON.stringify(textOf(node.value))}`;
  }
  if (node.kind === 'list') {
    return `[${node.items.map(identity).join(',')}]`;
  }
  const entries = [...node.entries].sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${identity(value)}`).join(',')}}`;
};

const checkScalar = (node: ScalarNode, schema: Schema, path: Path): Violation | undefined => {
  const { value } = node;
  if (typeof value === 'string') {
    if (schema.enum !== undefined && !schema.enum.includes(value)) {
      return { kind: 'enum', path, node, message: `must be one of ${schema.enum.join(', ')}`, unknown: { written: value, known: schema.enum } };
    }
    if (schema.pattern !== undefined && !patternOf(schema.pattern).test(value)) {
      const words = schema.pattern.split('|').filter((word) => /^\w+$/.test(word));
      const wanted = words.length > 2 ? `must be one of ${schema.pattern.replaceAll('|', ', ')}` : `does not match ${schema.pattern}`;
      return {
        kind: 'pattern',
        path,
        node,
        message: `"${value.slice(0, 80)}" ${wanted}`,
        ...(words.length > 0 ? { unknown: { written: value, known: words } } : {}),
      };
    }
  }
  if (typeof value === 'number' && (value < (schema.minimum ?? -Infinity) || value > (schema.maximum ?? Infinity))) {
    return { kind: 'range', path, node, message: `must be from ${schema.minimum ?? 'any'} to ${schema.maximum ?? 'any'}` };
  }
  return undefined;
};

const describe = (node: Node): string => {
  if (node.kind !== 'scalar') {
    return nameType(node.kind === 'map' ? 'object' : 'array');
  }
  return node.value === null ? 'nothing' : nameType(typeof node.value);
};

const nameType = (type: string): string => TYPE_NAMES[type] ?? `a ${type}`;

const TYPE_NAMES: Record<string, string> = {
  object: 'a mapping',
  array: 'a list',
  null: 'nothing',
  integer: 'a whole number',
  boolean: 'true or false',
  bigint: 'a number',
};

const patternOf = (source: string): RegExp => {
  let pattern = PATTERNS.get(source);
  if (pattern === undefined) {
    pattern = new RegExp(source);
    PATTERNS.set(source, pattern);
  }
  return pattern;
};

const PATTERNS = new Map<string, RegExp>();
