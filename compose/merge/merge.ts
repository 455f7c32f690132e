import {
  isNull,
  type ListNode,
  list,
  type MapNode,
  map,
  type Node,
  type Path,
  type ScalarNode,
  sameNodes,
  scalar,
  textOf,
  textOfNode,
} from '../source/node.ts';
import { formatPath, PathTable } from '../source/path-table.ts';
import { errorAt } from '../source/source.ts';

/**
 * Merges `over` onto `base` by the Compose Specification's rules (13-merge): mappings merge, lists
 * append, other values replace; the table below has the exceptions.
 * @param path where the two stand in the model, e.g. `['services', 'web']`
 * @throws COMPOSE_INVALID if their kinds do not fit
 */
export const mergeNodes = (base: Node, over: Node, path: Path = []): Node => {
  let table: PathTable<Rule> | undefined = RULES;
  for (const part of path) {
    table = table?.next(part);
  }
  return merge(base, over, path, table);
};

type Rule = (base: Node, over: Node, path: Path, table: PathTable<Rule>) => Node;

const merge = (base: Node, over: Node, path: Path, table: PathTable<Rule> | undefined): Node => {
  if (table?.value !== undefined) {
    return table.value(base, over, path, table);
  }
  if (isNull(over)) {
    return base;
  }
  if (base.kind === 'map') {
    return mergeMaps(base, expectKind(base, over, 'map', path), path, table);
  }
  if (base.kind === 'list') {
    return append(base, expectKind(base, over, 'list', path));
  }
  return replace(base, over);
};

const mergeMaps = (base: MapNode, over: MapNode, path: Path, table: PathTable<Rule> | undefined): MapNode => {
  const entries = new Map(base.entries);
  for (const [key, value] of over.entries) {
    const existing = base.entries.get(key);
    entries.set(key, existing === undefined ? value : merge(existing, value, [...path, key], table?.next(key)));
  }
  return { ...base, entries };
};

const append = (base: ListNode, over: ListNode): ListNode => ({ ...base, items: [...base.items, ...over.items] });

/** The overriding value, with a record of the one it replaced. */
const replace = (base: Node, over: Node): Node => ({ ...over, lost: [...(over.lost ?? []), base, ...(base.lost ?? [])] });

function expectKind(base: Node, over: Node, kind: 'map', path: Path): MapNode;
function expectKind(base: Node, over: Node, kind: 'list', path: Path): ListNode;
function expectKind(base: Node, over: Node, kind: 'map' | 'list', path: Path): Node {
  if (over.kind !== kind) {
    const written = kind === 'map' ? 'a mapping' : 'a list';
    const { line } = base.mark.source.placeAt(Math.max(0, base.mark.offset));
    throw errorAt(
      'COMPOSE_INVALID',
      `${formatPath(path)} is ${written} in ${base.mark.source.path}:${line} and must be ${written} here too`,
      {
        mark: over.keyMark ?? over.mark,
        hint: 'write it in the same form, or put !override before the value',
      },
    );
  }
  return over;
}

/** Either form as a list of `key=value`, mappings in key order. */
export const toSequence = (node: Node): ListNode => {
  if (node.kind === 'list') {
    return node;
  }
  if (node.kind === 'scalar') {
    return list(node.value === null ? [] : [node], node);
  }
  const items: Array<ScalarNode & { value: string }> = [];
  for (const [key, value] of node.entries) {
    for (const item of value.kind === 'list' ? value.items : [value]) {
      const text = isNull(item) ? key : `${key}=${item.kind === 'scalar' ? textOfNode(item) : ''}`;
      items.push({ kind: 'scalar', value: text, mark: value.keyMark ?? value.mark });
    }
  }
  return list(
    items.sort((a, b) => (a.value < b.value ? -1 : 1)),
    node,
  );
};

const sequence: Rule = (base, over) => {
  const from = toSequence(base);
  return isNull(over) ? from : append(from, toSequence(over));
};

const hosts: Rule = (base, over) => {
  const from = toSequence(base);
  const extra = toSequence(over).items.filter((item) => !from.items.some((existing) => sameNodes(existing, item)));
  return { ...from, items: [...from.items, ...extra] };
};

/** The later value, whole. */
const override: Rule = (base, over) => replace(base, over);

/** Lists of names are converted to mappings with default values before they merge. */
const named =
  (defaults: Record<string, ScalarNode['value']> | null): Rule =>
  (base, over, path, table) => {
    const from = namesToMap(base, defaults);
    const onto = namesToMap(over, defaults);
    return isNull(onto) ? from : from.kind === 'map' ? mergeMaps(from, expectKind(from, onto, 'map', path), path, table) : onto;
  };

export const namesToMap = (node: Node, defaults: Record<string, ScalarNode['value']> | null): Node => {
  if (node.kind !== 'list') {
    return node;
  }
  const entryOf = (item: Node): Node => {
    const from = { mark: item.mark, keyMark: item.mark };
    return defaults === null
      ? scalar(null, from)
      : map(
          Object.entries(defaults).map(([key, value]) => [key, scalar(value, { mark: item.mark })] as const),
          from,
        );
  };
  return map(
    node.items.map((item) => [item.kind === 'scalar' ? textOf(item.value) : '', entryOf(item)] as const),
    node,
  );
};

const build: Rule = (base, over, path, table) => {
  const from = contextToMap(base);
  const onto = contextToMap(over);
  return isNull(onto) ? from : from.kind === 'map' ? mergeMaps(from, expectKind(from, onto, 'map', path), path, table) : onto;
};

/** `build: ./dir` as a mapping. */
export const contextToMap = (node: Node): Node =>
  node.kind === 'scalar' && node.value !== null ? map([['context', { ...node }] as const], node) : node;

/** Options of a logging driver belong to that driver. */
const logging: Rule = (base, over, path, table) => {
  if (base.kind !== 'map' || over.kind !== 'map') {
    return isNull(over) ? base : replace(base, over);
  }
  const first = base.entries.get('driver');
  const second = over.entries.get('driver');
  const same = first === undefined || second === undefined || sameNodes(first, second);
  return same ? mergeMaps(base, over, path, table) : replace(base, over);
};

const subnetOf = (node: Node): unknown => {
  const subnet = node.kind === 'map' ? node.entries.get('subnet') : undefined;
  return subnet?.kind === 'scalar' ? subnet.value : undefined;
};

/** The subnet identifies a pool of a network. */
const pools: Rule = (base, over, path, table) => {
  if (base.kind !== 'list' || over.kind !== 'list') {
    return isNull(over) ? base : replace(base, over);
  }
  const merged: Node[] = [...base.items];
  for (const pool of over.items) {
    const at = merged.findIndex((existing) => subnetOf(existing) === subnetOf(pool));
    const existing = merged[at];
    if (existing?.kind === 'map' && pool.kind === 'map') {
      merged[at] = mergeMaps(existing, pool, path, table.next('[]'));
    } else {
      merged.push(pool);
    }
  }
  return { ...base, items: merged };
};

const at = (rule: Rule, ...paths: string[]): Record<string, Rule> => Object.fromEntries(paths.map((path) => [path, rule]));
const inService = (rule: Rule, names: string): Record<string, Rule> => at(rule, ...names.split(' ').map((name) => `services.*.${name}`));

const RULES = new PathTable<Rule>({
  ...at(pools, 'networks.*.ipam.config'),
  ...at(sequence, 'networks.*.labels', 'volumes.*.labels'),
  ...inService(sequence, 'annotations build.args build.additional_contexts build.labels deploy.labels dns dns_opt dns_search'),
  ...inService(sequence, 'env_file label_file environment labels volumes.*.volume.labels sysctls tmpfs'),
  ...inService(hosts, 'extra_hosts build.extra_hosts'),
  ...inService(override, 'command entrypoint healthcheck.test ulimits.*'),
  ...inService(build, 'build'),
  ...inService(named({ condition: 'service_started', required: true }), 'depends_on'),
  ...inService(named(null), 'networks models'),
  ...inService(logging, 'logging'),
});
