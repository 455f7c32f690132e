import { readPci } from '../model/cards.ts';
import { readDockerAccess } from '../model/docker-access.ts';
import { readEgress } from '../model/egress.ts';
import { NEEDS_NIC, readIsolation } from '../model/isolation.ts';
import { readMountMode } from '../model/mount-mode.ts';
import { readNested } from '../model/nested.ts';
import { readPolicies } from '../model/policies.ts';
import { readRestartUnhealthy } from '../model/restart-unhealthy.ts';
import { closest } from '../model/suggest.ts';
import { type MapNode, type Node, stringOf, toPlain } from '../source/node.ts';
import { errorAt, type Mark } from '../source/source.ts';
import { type Warning, Warnings } from '../model/warnings.ts';

/** Settings that promise to keep a service from something: as if they were not there is the worst that could be done with them. */
const PROMISES: Readonly<Record<string, string>> = {
  allow_outbound: 'what may be reached is set in a service, in its x-hypr',
  allowed_domains: 'what may be reached is set in a service, in its x-hypr',
  egress: 'what may be reached is set in a service, in its x-hypr',
  networking: 'a machine without a NIC is "network: isolated" in the x-hypr of a service',
  network: 'a machine without a NIC is set in a service, in its x-hypr: {network: isolated}',
  network_policies: 'policies between services are set at the top of the file: x-hypr: {policies: [...]}',
  network_policy: 'policies between services are set at the top of the file: x-hypr: {policies: [...]}',
  policy: 'policies between services are set at the top of the file: x-hypr: {policies: [...]}',
  policies: 'policies between services are set at the top of the file: x-hypr: {policies: [...]}',
  gpus: 'GPUs are set in a service: gpus: all, or x-hypr: {pci: [ADDRESS]}',
  gpu: 'GPUs are set in a service: gpus: all, or x-hypr: {pci: [ADDRESS]}',
  pci: 'cards are set in a service, in its x-hypr: {pci: [ADDRESS]}',
};

/** Settings of a service's `x-hypr` that take effect; model/egress.ts reads them. */
const SETTINGS: readonly string[] = ['network', 'egress', 'allow_outbound', 'allowed_domains', 'restart_unhealthy', 'nested', 'docker', 'pci', 'mount'];

/**
 * Checks `x-hypr` keys at the top, in services, in their mounts and in networks. Throws COMPOSE_INVALID for a setting that is not well-formed or
 * mistyped, and HYPR_UNSUPPORTED at the place of one that promises to keep something in or out and is not there; for the others
 * gives warnings.
 */
export const checkOwnKeys = (tree: MapNode): Warning[] => {
  const warnings = new Warnings();
  for (const key of ownKeys(tree)) {
    const own = key.name === 'x-hypr' ? readSettings(key, tree) : new Map([[key.name, key.node]]);
    for (const [path, value] of own) {
      refusePromises(path, value);
      warnings.add('ignored', `${path} has no effect: hypr has no such setting in Compose files`, value.keyMark ?? value.mark);
    }
  }
  return warnings.all;
};

/** Checks the settings of an `x-hypr`, by where it is; gives what else is in it. */
const readSettings = ({ node, owner, place }: OwnKey, tree: MapNode): Map<string, Node> => {
  switch (place) {
    case 'service':
      return settingsIn(node, owner);
    case 'mount':
      return settingsOfMount(node, owner);
    default:
      return owner === tree && node.kind === 'map' ? settingsAtTop(node, tree) : new Map([['x-hypr', node]]);
  }
};

/** Checks the settings of `x-hypr` at the top; gives what else is in it, by path. */
const settingsAtTop = (node: MapNode, tree: MapNode): Map<string, Node> => {
  const policies = node.entries.get('policies');
  const services = tree.entries.get('services');
  if (policies !== undefined) {
    const read = readPolicies(toPlain(policies), services?.kind === 'map' ? [...services.entries.keys()] : []);
    if ('fault' in read) {
      const item = policies.kind === 'list' && read.index !== undefined ? (policies.items[read.index] ?? policies) : policies;
      const at = (item.kind === 'map' && read.key !== undefined ? item.entries.get(read.key) : undefined) ?? item;
      const path = [`x-hypr.policies${read.index === undefined ? '' : `[${read.index}]`}`, read.key].filter(Boolean).join('.');
      throw errorAt('COMPOSE_INVALID', `${path} ${read.fault}`, { mark: at.keyMark ?? at.mark });
    }
  }
  const rest = [...node.entries].filter(([key]) => key !== 'policies');
  const meant = rest.find(([key]) => closest(key, ['policies']) !== undefined);
  if (meant !== undefined) {
    const [key, value] = meant;
    throw errorAt('COMPOSE_INVALID', `x-hypr.${key} is not a setting`, { mark: value.keyMark ?? value.mark, hint: 'did you mean "policies"?' });
  }
  return new Map(policies === undefined ? [['x-hypr', node]] : rest.map(([key, value]) => [`x-hypr.${key}`, value]));
};

/** Checks the settings in a service's `x-hypr`; gives what else is in it, by path. */
const settingsIn = (node: Node, service: MapNode): Map<string, Node> => {
  if (node.kind !== 'map') {
    const hint = 'write "x-hypr: {egress: deny}"';
    throw errorAt('COMPOSE_INVALID', 'x-hypr must be a mapping of settings', { mark: node.keyMark ?? node.mark, hint });
  }
  const isolation = readIsolation(toPlain(node));
  const read = isolation ?? readEgress(toPlain(node));
  if (read !== undefined && 'fault' in read) {
    const at = node.entries.get(read.key) ?? node;
    throw errorAt('COMPOSE_INVALID', `x-hypr.${read.key} ${read.fault}`, { mark: at.keyMark ?? at.mark });
  }
  if (isolation !== undefined) {
    refuseNeedsOfNic(service);
  }
  refuseFault('restart_unhealthy', readRestartUnhealthy(toPlain(node)), node);
  refuseFault('nested', readNested(toPlain(node)), node);
  refuseFault('pci', readPci(toPlain(node)), node);
  refuseFault('docker', readDockerAccess(toPlain(node)), node);
  refuseFault('mount', readMountMode(toPlain(node)), node);
  const rest = [...node.entries].filter(([key]) => !SETTINGS.includes(key));
  for (const [key, value] of rest) {
    refuseOne(key, `x-hypr.${key}`, value);
    // A fence that is missing because of a typo would be missed by nobody.
    const meant = closest(key, SETTINGS);
    if (meant !== undefined) {
      throw errorAt('COMPOSE_INVALID', `x-hypr.${key} is not a setting`, {
        mark: value.keyMark ?? value.mark,
        hint: `did you mean "${meant}"?`,
      });
    }
  }
  return new Map(rest.map(([key, value]) => [`x-hypr.${key}`, value]));
};

/** Checks the settings of a mount in its long form, which is of nothing but a mount: anything else in it is a mistake. */
const settingsOfMount = (node: Node, mount: MapNode): Map<string, Node> => {
  const fail = (at: Node, message: string, hint = 'write "x-hypr: {mount: synced}"'): never => {
    throw errorAt('COMPOSE_INVALID', message, { mark: at.keyMark ?? at.mark, hint });
  };
  if (node.kind !== 'map') {
    return fail(node, 'x-hypr must be a mapping of settings');
  }
  for (const [key, value] of node.entries) {
    if (key !== 'mount') {
      refuseOne(key, `x-hypr.${key}`, value);
      fail(value, `x-hypr.${key} is not a setting of a mount`);
    }
  }
  const read = readMountMode(toPlain(node));
  refuseFault('mount', read, node);
  if (read === 'synced' && stringOf(mount.entries.get('type')) !== 'bind') {
    fail(node.entries.get('mount') ?? node, 'x-hypr.mount: synced is for bind mounts: a volume is on the machine\u2019s own disk already', 'remove it');
  }
  return new Map();
};

const refuseFault = (key: string, read: undefined | boolean | string | readonly string[] | { readonly fault: string }, node: MapNode): void => {
  if (typeof read === 'object' && 'fault' in read) {
    const at = node.entries.get(key) ?? node;
    throw errorAt('COMPOSE_INVALID', `x-hypr.${key} ${read.fault}`, { mark: at.keyMark ?? at.mark });
  }
};

/** The network of services that name none has no key in the file. */
const refuseNeedsOfNic = (service: MapNode): void => {
  for (const attribute of NEEDS_NIC) {
    const node = service.entries.get(attribute);
    if (node?.keyMark !== undefined) {
      throw errorAt('COMPOSE_INVALID', `${attribute} cannot be combined with x-hypr.network: isolated, which is a machine without a NIC`, {
        mark: node.keyMark,
        hint: 'remove one of them',
      });
    }
  }
};

const OWN = /^x-hypr(-|$)/;

interface OwnKey {
  readonly name: string;
  readonly node: Node;
  readonly owner: MapNode;
  readonly place: 'service' | 'mount' | 'other';
}

const ownKeys = (tree: MapNode): OwnKey[] => {
  const services = mapsIn(tree.entries.get('services'));
  const keysOf = (place: OwnKey['place'], owners: readonly MapNode[]): OwnKey[] =>
    owners.flatMap((owner) => [...owner.entries].flatMap(([name, node]) => (OWN.test(name) ? [{ name, node, owner, place }] : [])));
  return [
    ...keysOf('other', [tree, ...mapsIn(tree.entries.get('networks'))]),
    ...keysOf('service', services),
    ...keysOf('mount', services.flatMap(mountsOf)),
  ];
};

/** The mounts of a service in their long form; a short one has no room for settings. */
const mountsOf = (service: MapNode): MapNode[] => {
  const mounts = service.entries.get('volumes');
  return mounts?.kind === 'list' ? mounts.items.filter((item): item is MapNode => item.kind === 'map') : [];
};

const mapsIn = (section: Node | undefined): MapNode[] =>
  section?.kind === 'map' ? [...section.entries.values()].filter((node): node is MapNode => node.kind === 'map') : [];

const refusePromises = (name: string, node: Node): void => {
  const key = OWN_SUFFIX.exec(name)?.[1]?.replaceAll('-', '_');
  refuseOne(key, name, node);
  if (node.kind === 'map') {
    for (const [inner, value] of node.entries) {
      refuseOne(inner, `${name}.${inner}`, value);
      refusePromises(`${name}.${inner}`, value);
    }
  } else if (node.kind === 'list') {
    for (const item of node.items) {
      refusePromises(name, item);
    }
  }
};

const OWN_SUFFIX = /^x-hypr-([a-z-]+)$/;

const refuseOne = (key: string | undefined, name: string, node: Node): void => {
  const reason = key !== undefined && Object.hasOwn(PROMISES, key) ? PROMISES[key] : undefined;
  if (reason !== undefined) {
    const mark: Mark = node.keyMark ?? node.mark;
    throw errorAt('HYPR_UNSUPPORTED', `${name} is not supported: ${reason}`, { mark, hint: 'remove it, so that nobody relies on it' });
  }
};
