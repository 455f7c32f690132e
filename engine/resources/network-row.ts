import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { shortHash } from '../../base/paths.ts';
import type { Project } from '../../compose/model/model.ts';
import type { NetworkSpec } from '../../net/types.ts';
import type { Platform } from '../model/platform.ts';
import { asksForHost, networkHash } from '../resolve/network-needs.ts';
import { sharedBeside } from '../resolve/networks.ts';
import type { NetworkRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';
import { chooseSubnets, ipamOf, networkMtu } from './addresses.ts';
import { sharedNetworks } from './shared-networks.ts';

/**
 * The row of a network that is not there yet, with a subnet that nobody else has. Records nothing: two of these at the same
 * time may choose the same subnet. Throws NETWORK_* where the file's addresses are not free.
 */
export const newNetworkRow = async (
  project: Project,
  key: string,
  { stack, store, platform }: { readonly stack: string; readonly store: StateStore; readonly platform: Platform },
): Promise<NetworkRow> => {
  const config = project.networks[key];
  if (config === undefined) {
    throw new HyprError('HYPR_INTERNAL', `network ${key} is not in the model`);
  }
  const beside = ipamOf(config).v4.subnet === undefined ? undefined : sharedBeside(project, key);
  const rows = [...store.networks(stack), ...sharedNetworks(store).filter(({ name }) => beside?.has(name) ?? true)];
  const spec: NetworkSpec = {
    name: config.name,
    runDir: join(platform.runDir, `n-${shortHash(key, 6)}`),
    log: join(platform.paths.logs, stack, `network-${key}.log`),
    ...(await chooseSubnets(config, { rows, seed: `${stack}/${key}` })),
    internal: config.internal ?? false,
    mtu: networkMtu(config),
    hostAccess: asksForHost(project, key) && config.internal !== true,
  };
  const configHash = networkHash(project, key);
  return { stack, key, name: config.name, spec, configHash, record: undefined, createdAt: Date.now() };
};
