import type { MapNode, Node } from '../source/node.ts';
import { errorAt, type Mark } from '../source/source.ts';
import { type Warning, Warnings } from '../model/warnings.ts';

/** Settings that promise to keep a service from something: as if they were not there is the worst that could be done with them. */
const PROMISES: Readonly<Record<string, string>> = {
  allow_outbound: 'what a service may reach cannot be filtered; a network with "internal: true" has no way out at all',
  allowed_domains: 'what a service may reach cannot be filtered; a network with "internal: true" has no way out at all',
  networking: 'there is one kind of network; "network_mode: none" is a machine without a card',
  network: 'there is one kind of network; "network_mode: none" is a machine without a card',
  network_policies: 'there are no policies; services on different networks do not reach each other',
  network_policy: 'there are no policies; services on different networks do not reach each other',
  policies: 'there are no policies; services on different networks do not reach each other',
  gpus: 'GPUs of the host are not passed into a machine',
  gpu: 'GPUs of the host are not passed into a machine',
};

/**
 * `x-hypr` keys, of which hypr has none: at the top, in services and in networks. Throws HYPR_UNSUPPORTED at the place of
 * one that promises to keep something in or out; for the others gives warnings.
 */
export const checkOwnKeys = (tree: MapNode): Warning[] => {
  const warnings = new Warnings();
  for (const { name, node } of ownKeys(tree)) {
    refusePromises(name, node);
    warnings.add('ignored', `${name} has no effect: hypr has no settings of its own in Compose files`, node.keyMark ?? node.mark);
  }
  return warnings.all;
};

const OWN = /^x-hypr(-|$)/;

const ownKeys = (tree: MapNode): Array<{ name: string; node: Node }> => {
  const owners = [tree, ...['services', 'networks'].flatMap((section) => mapsIn(tree.entries.get(section)))];
  return owners.flatMap((owner) => [...owner.entries].flatMap(([name, node]) => (OWN.test(name) ? [{ name, node }] : [])));
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
