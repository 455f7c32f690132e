import { type Node, type Path, stringOf, textOf } from '../source/node.ts';
import { formatPath, PathTable, rewrite } from '../source/path-table.ts';
import { errorAt } from '../source/source.ts';
import { parseVolume } from './volumes.ts';

/**
 * Where a list may hold one entry per key, later entries take the place of earlier ones: labels by
 * name, volumes by target, ports by host address, ports and protocol.
 */
export const enforceUnicity = (root: Node): Node => rewrite(root, RULES, uniqueBy);

type KeyOf = (item: Node, path: Path) => string;

const uniqueBy = (keyOf: KeyOf, node: Node, path: Path): Node => {
  if (node.kind !== 'list') {
    return node;
  }
  const items = new Map<string, Node>();
  for (const [i, item] of node.items.entries()) {
    const key = keyOf(item, [...path, `[${i}]`]);
    const earlier = items.get(key);
    items.set(key, earlier === undefined || earlier === item ? item : { ...item, lost: [...(item.lost ?? []), earlier] });
  }
  return items.size === node.items.length ? node : { ...node, items: [...items.values()] };
};

const text = (item: Node): string => (item.kind === 'scalar' ? textOf(item.value) : `\0${item.mark.offset}`);

/** A value that is not a scalar gets a unique key; the schema check, which comes next, reports it. */
const field = (item: Node, name: string): string | undefined => {
  const value = item.kind === 'map' ? item.entries.get(name) : undefined;
  if (value === undefined) {
    return undefined;
  }
  return value.kind !== 'scalar' ? `\0${value.mark.offset}` : value.value === null ? undefined : textOf(value.value);
};

const byName: KeyOf = (item) => text(item).split('=', 1)[0] ?? '';

const byTarget: KeyOf = (item, path) => {
  if (item.kind !== 'map') {
    return parseVolume(text(item), item.mark).target;
  }
  return field(item, 'target') ?? missing(item, path, 'target');
};

const byDeviceTarget: KeyOf = (item, path) => {
  if (item.kind !== 'map') {
    const parts = text(item).split(':');
    return parts[1] ?? parts[0] ?? '';
  }
  return field(item, 'target') ?? missing(item, path, 'target');
};

const byMount =
  (folder: string): KeyOf =>
  (item) =>
    item.kind === 'map' ? (field(item, 'target') ?? `${folder}/${field(item, 'source')}`) : `${folder}/${text(item)}`;

const byPort: KeyOf = (item, path) => {
  if (item.kind !== 'map') {
    return text(item);
  }
  const target = field(item, 'target') ?? missing(item, path, 'target');
  return `${field(item, 'host_ip') ?? '0.0.0.0'}:${field(item, 'published')}:${target}/${field(item, 'protocol') ?? 'tcp'}`;
};

const byPath: KeyOf = (item, path) =>
  item.kind === 'map' ? (field(item, 'path') ?? missing(item, path, 'path')) : (stringOf(item) ?? text(item));

const missing = (item: Node, path: Path, name: string): never => {
  throw errorAt('COMPOSE_INVALID', `${formatPath(path)} has no ${name}`, { mark: item.mark, hint: `add "${name}:"` });
};

const each = (keyOf: KeyOf, names: string): Record<string, KeyOf> =>
  Object.fromEntries(names.split(' ').map((name) => [`services.*.${name}`, keyOf]));

const RULES = new PathTable<KeyOf>({
  'networks.*.labels': byName,
  'networks.*.ipam.options': byName,
  ...each(byName, 'annotations build.args build.additional_contexts build.tags build.labels cap_add cap_drop'),
  ...each(byName, 'deploy.labels dns dns_opt dns_search environment expose labels links networks.*.aliases'),
  ...each(byName, 'networks.*.link_local_ips profiles sysctls tmpfs'),
  ...each(byTarget, 'volumes'),
  ...each(byDeviceTarget, 'devices'),
  ...each(byMount(''), 'configs'),
  ...each(byMount('/run/secrets'), 'secrets'),
  ...each(byPort, 'ports'),
  ...each(byPath, 'env_file'),
});
