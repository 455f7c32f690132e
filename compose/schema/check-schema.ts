import { SERVICE } from './fields.ts';
import { isNull, type Node, stringOf, textOf } from '../source/node.ts';
import { formatPath } from '../source/path-table.ts';
import { COMPOSE_SCHEMA } from './compose-spec.ts';
import { findViolation, type Violation } from './find-violation.ts';
import { errorAt } from '../source/source.ts';
import { didYouMean } from '../model/suggest.ts';

/**
 * Checks a model against the Compose schema.
 * @throws COMPOSE_INVALID at the offending key or value
 */
export const checkSchema = (root: Node): void => {
  const violation = findViolation(root, COMPOSE_SCHEMA);
  if (violation === undefined) {
    return;
  }
  const { kind, path, node, message } = violation;
  throw errorAt('COMPOSE_INVALID', path.length === 0 ? ofWhole(violation) : `${formatPath(path)}: ${message}`, {
    mark: kind === 'unknown-key' ? (node.keyMark ?? node.mark) : node.mark,
    hint: hintFor(violation),
  });
};

const ofWhole = ({ message, unknown }: Violation): string =>
  unknown === undefined ? `the file: ${message}` : `"${unknown.written.slice(0, 80)}" is not known at the top level`;

const hintFor = ({ path, node, unknown, missing, types }: Violation): string | undefined => {
  if (missing !== undefined) {
    return `add "${missing}:"`;
  }
  if (unknown !== undefined) {
    const { written: key, known } = unknown;
    const synonym = known.find((name) => name === SYNONYMS[key]);
    const looksLikeService = node.kind === 'map' && (node.entries.has('image') || node.entries.has('build'));
    const misplaced = path.length === 0 && (looksLikeService || SERVICE_KEYS.has(key)) ? 'services go under "services:"' : undefined;
    return misplaced ?? (synonym === undefined ? didYouMean(key, known) : `did you mean "${synonym}"?`) ?? shortList(known);
  }
  return path.length === 2 && path[0] === 'services' ? hintForService(node) : hintForValue(path.at(-1) ?? '', node, types);
};

/** `image:x` is a text, and a service without anything is often one whose lines are not indented. */
const hintForService = (node: Node): string | undefined => {
  const text = stringOf(node);
  const colon = /^(\w+):(\S+)$/.exec(text ?? '');
  if (colon !== null) {
    return `a blank is missing after the colon: ${colon[1]}: ${colon[2]}`;
  }
  const words = /^(\w+) (\S+)$/.exec(text ?? '');
  if (words !== null && SERVICE_KEYS.has(words[1] ?? '')) {
    return `a colon is missing: ${words[1]}: ${words[2]}`;
  }
  return isNull(node) ? 'its attributes must be indented more than its name' : 'write its attributes below it, e.g. "image: NAME"';
};

const hintForValue = (key: string, node: Node, types: readonly string[] = []): string | undefined => {
  if (key === 'container_name' && stringOf(node) !== undefined) {
    return 'a name is two or more of letters, digits, "_", "." and "-", and begins with a letter or digit';
  }
  if (node.kind === 'scalar' && node.value !== null && types.includes('array') && !MAPPINGS.has(key)) {
    return `write a list: [${JSON.stringify(textOf(node.value))}]`;
  }
  if (node.kind === 'scalar' && typeof node.value === 'number') {
    return DURATIONS.has(key) ? `write it with a unit: "${node.value}s"` : `write it in quotes: "${node.value}"`;
  }
  if (node.kind === 'scalar' && MAPPINGS.has(key)) {
    return 'write a mapping (NAME: value) or a list (- NAME=value)';
  }
  return undefined;
};

/** Other words for attributes, from docker's command line and other formats. */
const SYNONYMS: Record<string, string> = {
  src: 'source',
  dst: 'target',
  destination: 'target',
  env: 'environment',
  cmd: 'command',
  args: 'command',
  ro: 'read_only',
  readonly: 'read_only',
  memory: 'mem_limit',
  mem: 'mem_limit',
  cpu: 'cpus',
  workdir: 'working_dir',
  replicas: 'scale',
  host_port: 'published',
  container_port: 'target',
};
const SERVICE_KEYS = new Set(Object.keys(SERVICE.fields));
const DURATIONS = new Set('interval timeout start_period start_interval stop_grace_period delay window monitor'.split(' '));
const MAPPINGS = new Set('environment labels annotations args sysctls extra_hosts'.split(' '));

const shortList = (known: readonly string[]): string | undefined => (known.length > 12 ? undefined : `possible here: ${known.join(', ')}`);
