import { posix } from 'node:path';
import type { Budget } from '../model/limits.ts';
import { isNull, list, map, type Node, type Path, type ScalarValue, scalar, stringOf, textOf, withEntries } from '../source/node.ts';
import { formatPath, PathTable, rewrite } from '../source/path-table.ts';
import { errorAt } from '../source/source.ts';
import { contextToMap, namesToMap } from './merge.ts';
import { parsePort } from './ports.ts';
import { parseVolume } from './volumes.ts';

export interface CanonicalOptions {
  /** With --no-interpolate, short forms that contain variables stay as they are. */
  readonly lenient: boolean;
  readonly budget: Budget;
}

/** Turns every short form into its long form. Applying it twice changes nothing. */
export const toCanonical = (root: Node, options: CanonicalOptions): Node =>
  rewrite(root, RULES, (rule, node, path) => rule(node, path, options));

type Rule = (node: Node, path: Path, options: CanonicalOptions) => Node;

const fields = (from: Node, values: Record<string, ScalarValue | undefined | '' | Node>): Node => {
  const entries: Array<readonly [string, Node]> = [];
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined && value !== '' && value !== false) {
      entries.push([key, typeof value === 'object' && value !== null ? value : scalar(value, { mark: from.mark })]);
    }
  }
  return map(entries, from);
};

const ports: Rule = (node, _path, options) => {
  if (node.kind !== 'list') {
    return node;
  }
  const items: Node[] = [];
  for (const item of node.items) {
    if (item.kind !== 'scalar') {
      items.push(item);
      continue;
    }
    try {
      const parsed = parsePort(textOf(item.value), item.mark);
      options.budget.countPorts(parsed.length, item.mark);
      for (const { hostIp, target, published, protocol } of parsed) {
        items.push({ ...fields(item, { mode: 'ingress', host_ip: hostIp, target, published, protocol }), ...lostOf(item) });
      }
    } catch (error) {
      if (options.lenient) {
        return node;
      }
      throw error;
    }
  }
  return { ...node, items };
};

const volume: Rule = (node, _path, options) => {
  const spec = stringOf(node);
  if (spec === undefined) {
    return node;
  }
  try {
    const parsed = parseVolume(spec, node.mark);
    const { propagation, selinux, nocopy } = parsed;
    // Options for another type of mount are kept.
    const isBind = parsed.type === 'bind';
    // As docker compose has it, also for a named volume with such an option.
    const bind = isBind || propagation || selinux ? fields(node, { create_host_path: true, propagation, selinux }) : undefined;
    const named = nocopy || (!isBind && parsed.withVolume) ? fields(node, { nocopy }) : undefined;
    const { type, source, target, readOnly } = parsed;
    const long = fields(node, { type, source, target: target === '' ? '' : cleanPath(target), read_only: readOnly, bind, volume: named });
    return { ...long, ...lostOf(node) };
  } catch (error) {
    if (options.lenient) {
      return node;
    }
    throw error;
  }
};

/** Go's path.Clean: normalised, without a slash at the end. */
export const cleanPath = (path: string): string => {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith('/') ? clean.slice(0, -1) : clean;
};

const device: Rule = (node, path, options) => {
  const spec = stringOf(node);
  if (spec === undefined) {
    return node;
  }
  const [source = '', target, permissions, extra] = spec.split(':');
  if (extra !== undefined) {
    if (options.lenient) {
      return node;
    }
    throw errorAt('COMPOSE_INVALID', `${formatPath(path)}: "${spec}" has too many colons`, { mark: node.mark, hint: 'use the long form' });
  }
  return fields(node, { source, target: target || source, permissions: permissions ?? 'rwm' });
};

const envFile: Rule = (node) => {
  const items = node.kind === 'list' ? node.items : node.kind === 'scalar' && node.value !== null ? [node] : [];
  return list(
    items.map((item) => {
      const path = stringOf(item);
      if (path !== undefined) {
        // Without the key's mark, so that errors point at the text itself.
        return map([['path', { ...item }] as const, ['required', scalar(true, item)] as const], { mark: item.mark });
      }
      return item.kind === 'map' && !item.entries.has('required') ? withEntries(item, { required: scalar(true, item) }) : item;
    }),
    node,
  );
};

const stringOrList: Rule = (node) => (stringOf(node) === undefined ? node : list([node], node));

/** Drops empty servers, which unset variables leave. */
const dns: Rule = (node, path, options) => {
  const servers = stringOrList(node, path, options);
  return servers.kind === 'list' ? { ...servers, items: servers.items.filter((item) => !isNull(item) && stringOf(item) !== '') } : servers;
};

const asText: Rule = (node) => (node.kind === 'scalar' && typeof node.value !== 'string' ? { ...node, value: textOf(node.value) } : node);

const fileMount: Rule = (node) => (stringOf(node) === undefined ? node : map([['source', { ...node }] as const], node));

const keyValues: Rule = (node, path, options) => {
  if (node.kind !== 'list') {
    return node;
  }
  const entries: Array<readonly [string, Node]> = [];
  for (const item of node.items) {
    const text = stringOf(item) ?? '';
    const equals = text.indexOf('=');
    if (equals === -1) {
      if (options.lenient) {
        return node;
      }
      throw errorAt('COMPOSE_INVALID', `${formatPath(path)}: "${text}" has no "="`, { mark: item.mark, hint: 'write NAME=VALUE' });
    }
    entries.push([text.slice(0, equals), scalar(text.slice(equals + 1), { mark: item.mark, keyMark: item.mark })]);
  }
  return map(entries, node);
};

const ssh: Rule = (node, path) => {
  if (node.kind !== 'list') {
    return node;
  }
  return map(
    node.items.map((item) => {
      const text = stringOf(item) ?? '';
      const equals = text.indexOf('=');
      if (equals === -1 && text !== 'default') {
        throw errorAt('COMPOSE_INVALID', `${formatPath(path)}: "${text}" has no key`, {
          mark: item.mark,
          hint: 'write default, or ID=PATH',
        });
      }
      const value = equals === -1 ? null : text.slice(equals + 1);
      return [equals === -1 ? text : text.slice(0, equals), scalar(value, { mark: item.mark, keyMark: item.mark })] as const;
    }),
    node,
  );
};

const gpus: Rule = (node) =>
  stringOf(node) === undefined ? node : list([map([['count', scalar('all', { mark: node.mark })] as const], { mark: node.mark })], node);

const names: Rule = (node) => namesToMap(node, null);

const dependsOn: Rule = (node) => {
  if (node.kind === 'list') {
    return namesToMap(node, { condition: 'service_started', required: true });
  }
  if (node.kind !== 'map') {
    return node;
  }
  const withRequired = (value: Node): Node =>
    value.kind === 'map' && !value.entries.has('required') ? withEntries(value, { required: scalar(true, { mark: value.mark }) }) : value;
  return { ...node, entries: new Map([...node.entries].map(([key, value]) => [key, withRequired(value)])) };
};

const extendsService: Rule = (node) => (stringOf(node) === undefined ? node : map([['service', { ...node }] as const], node));

/** `external: {name: x}` is an old form of `external: true` and `name: x`. */
const external: Rule = (node, path) => {
  const old = node.kind === 'map' ? node.entries.get('external') : undefined;
  if (node.kind !== 'map' || old?.kind !== 'map') {
    return node;
  }
  const name = node.entries.get('name');
  const oldName = old.entries.get('name');
  if (name !== undefined && oldName !== undefined && stringOf(name) !== stringOf(oldName)) {
    throw errorAt('COMPOSE_INVALID', `${formatPath(path)} has a name and another name under external`, {
      mark: oldName.mark,
      hint: 'keep only name:',
    });
  }
  return withEntries(node, { external: scalar(true, old), name: name ?? oldName });
};

const lostOf = (node: Node) => (node.lost === undefined ? {} : { lost: node.lost });

const inService = (rules: Record<string, Rule>): Record<string, Rule> =>
  Object.fromEntries(Object.entries(rules).map(([path, rule]) => [`services.*.${path}`, rule]));

const RULES = new PathTable<Rule>({
  ...inService({
    build: contextToMap,
    'build.secrets.*': fileMount,
    'build.provenance': asText,
    'build.sbom': asText,
    'build.additional_contexts': keyValues,
    'build.ssh': ssh,
    depends_on: dependsOn,
    env_file: envFile,
    label_file: stringOrList,
    extends: extendsService,
    gpus,
    networks: names,
    models: names,
    'volumes.*': volume,
    dns,
    'devices.*': device,
    'secrets.*': fileMount,
    'configs.*': fileMount,
    ports,
    'develop.watch.*.ignore': stringOrList,
    'develop.watch.*.include': stringOrList,
  }),
  'volumes.*': external,
  'networks.*': external,
  'secrets.*': external,
  'configs.*': external,
});
