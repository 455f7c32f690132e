import { readEgress } from '../model/egress.ts';
import { type MapNode, type Node, toPlain } from '../source/node.ts';
import { errorAt, type Mark } from '../source/source.ts';
import { type Warning, Warnings } from '../model/warnings.ts';

/** Settings that promise to keep a service from something: as if they were not there is the worst that could be done with them. */
const PROMISES: Readonly<Record<string, string>> = {
  allow_outbound: 'what may be reached is set in a service, in its x-hypr',
  allowed_domains: 'what may be reached is set in a service, in its x-hypr',
  egress: 'what may be reached is set in a service, in its x-hypr',
  networking: 'there is one kind of network; "network_mode: none" is a machine without a NIC',
  network: 'there is one kind of network; "network_mode: none" is a machine without a NIC',
  network_policies: 'there are no policies; services on different networks do not reach each other',
  network_policy: 'there are no policies; services on different networks do not reach each other',
  policies: 'there are no policies; services on different networks do not reach each other',
  gpus: 'GPUs of the host are not passed into a machine',
  gpu: 'GPUs of the host are not passed into a machine',
};

/** Settings of a service's `x-hypr` that take effect; model/egress.ts reads them. */
const SETTINGS = new Set(['egress', 'allow_outbound', 'allowed_domains']);

/**
 * Checks `x-hypr` keys at the top, in services and in networks. Throws COMPOSE_INVALID for a setting that is not well-formed, and
 * HYPR_UNSUPPORTED at the place of one that promises to keep something in or out and is not there; for the others gives warnings.
 */
export const checkOwnKeys = (tree: MapNode): Warning[] => {
  const warnings = new Warnings();
  for (const { name, node, inService } of ownKeys(tree)) {
    const isSettings = inService && name === 'x-hypr' && node.kind === 'map';
    if (isSettings) {
      checkEgress(node);
    }
    const rest = isSettings ? withoutSettings(node) : node;
    if (rest === undefined) {
      continue;
    }
    refusePromises(name, rest);
    warnings.add('ignored', `${name} has no effect: hypr has no such settings in Compose files`, node.keyMark ?? node.mark);
  }
  return warnings.all;
};

const checkEgress = (node: MapNode): void => {
  const read = readEgress(toPlain(node));
  if (read !== undefined && 'fault' in read) {
    const at = node.entries.get(read.key) ?? node;
    throw errorAt('COMPOSE_INVALID', `x-hypr.${read.key} ${read.fault}`, { mark: at.keyMark ?? at.mark });
  }
};

/** What is left of a service's `x-hypr`; undefined when that is nothing. */
const withoutSettings = (node: MapNode): MapNode | undefined => {
  const entries = new Map([...node.entries].filter(([key]) => !SETTINGS.has(key)));
  return entries.size === 0 && node.entries.size > 0 ? undefined : { ...node, entries };
};

const OWN = /^x-hypr(-|$)/;

const ownKeys = (tree: MapNode): Array<{ name: string; node: Node; inService: boolean }> => {
  const services = mapsIn(tree.entries.get('services'));
  const owners = [tree, ...services, ...mapsIn(tree.entries.get('networks'))];
  return owners.flatMap((owner) =>
    [...owner.entries].flatMap(([name, node]) => (OWN.test(name) ? [{ name, node, inService: services.includes(owner) }] : [])),
  );
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
    throw errorAt('HYPR_UNSUPPORTED', `${name} cannot be had: ${reason}`, { mark, hint: 'remove it, so that nobody relies on it' });
  }
};
