import { readPci } from '../model/cards.ts';
import { readDockerAccess } from '../model/docker-access.ts';
import { readEgress } from '../model/egress.ts';
import { NEEDS_NIC, readIsolation } from '../model/isolation.ts';
import { readNested } from '../model/nested.ts';
import { readPolicies } from '../model/policies.ts';
import { readRestartUnhealthy } from '../model/restart-unhealthy.ts';
import { closest } from '../model/suggest.ts';
import { type MapNode, type Node, toPlain } from '../source/node.ts';
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
const SETTINGS: readonly string[] = ['network', 'egress', 'allow_outbound', 'allowed_domains', 'restart_unhealthy', 'nested', 'docker', 'pci'];

/**
 * Checks `x-hypr` keys at the top, in services, in their mounts and in networks. Throws COMPOSE_INVALID for a setting that is not well-formed or
 * mistyped, and HYPR_UNSUPPORTED at the place of one that promises to keep something in or out and is not there; for the others
 * gives warnings.
 */
export const checkOwnKeys = (tree: MapNode): Warning[] => {
  const warnings = new Warnings();
  for (const { name, node, owner, inService } of ownKeys(tree)) {
    const isAtTop = owner === tree && name === 'x-hypr' && node.kind === 'map';
    const own =
      inService && name === 'x-hypr' ? settingsIn(node, owner) : isAtTop ? settingsAtTop(node, tree) : new Map([[name, node]]);
    for (const [path, value] of own) {
      refusePromises(path, value);
      warnings.add('ignored', `${path} has no effect: hypr has no such setting in Compose files`, value.keyMark ?? value.mark);
    }
  }
  return warnings.all;
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

const refuseFault = (key: string, read: boolean | string | readonly string[] | { readonly fault: string }, node: MapNode): void => {
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

const ownKeys = (tree: MapNode): Array<{ name: string; node: Node; owner: MapNode; inService: boolean }> => {
  const services = mapsIn(tree.entries.get('services'));
  const owners = [tree, ...services, ...services.flatMap(mountsOf), ...mapsIn(tree.entries.get('networks'))];
  return owners.flatMap((owner) =>
    [...owner.entries].flatMap(([name, node]) => (OWN.test(name) ? [{ name, node, owner, inService: services.includes(owner) }] : [])),
  );
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
