import { HyprError } from '../../base/errors.ts';
import type { NetworkDetail } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { compileFilters, hasLabel, labelText } from '../format/filters.ts';
import { formatListing } from '../format/output.ts';
import { printObjects } from './print-objects.ts';

const COLUMNS = { ID: 'NETWORK ID', Name: 'NAME', Driver: 'DRIVER', Scope: 'SCOPE' };

/** `network ls`: the networks of all stacks that are up or stopped. */
export const runNetworkLs: Handler = async ({ context, flags }) => {
  const matches = compileFilters<NetworkDetail>(flags.list('filter'), {
    name: (network, value) => network.name.includes(value),
    id: (network, value) => network.id.startsWith(value),
    driver: (_, value) => value === 'bridge',
    scope: (_, value) => value === 'local',
    label: (network, value) => hasLabel(network.labels, value),
  });
  const networks = (await (await context.engine()).openObjects()).networks().filter(matches);
  const rows = networks.map((network) => rowOf(network, flags.bool('no-trunc')));
  context.stdout.write(
    flags.bool('quiet')
      ? rows.map(({ ID }) => `${ID}\n`).join('')
      : formatListing({ columns: COLUMNS, rows, json: 'lines' }, flags.string('format')),
  );
  return 0;
};

const SHORT_ID = 12;

const rowOf = ({ id, name, internal, labels, createdAt }: NetworkDetail, noTrunc: boolean): Record<string, string> => ({
  CreatedAt: new Date(createdAt).toISOString(),
  Driver: 'bridge',
  ID: noTrunc ? id : id.slice(0, SHORT_ID),
  IPv4: 'true',
  IPv6: 'false',
  Internal: String(internal),
  Labels: labelText(labels),
  Name: name,
  Scope: 'local',
});

/** `network inspect`: docker's keys; the driver is what really carries it. */
export const inspectNetwork = (network: NetworkDetail): Record<string, unknown> => ({
  Name: network.name,
  Id: network.id,
  Created: new Date(network.createdAt).toISOString(),
  Scope: 'local',
  Driver: 'gvproxy',
  EnableIPv4: true,
  EnableIPv6: false,
  IPAM: { Driver: 'default', Options: null, Config: [{ Subnet: network.subnet, Gateway: network.gateway }] },
  Internal: network.internal,
  Attachable: false,
  Ingress: false,
  Containers: Object.fromEntries(
    network.members.map(({ id, name, address, mac }) => [
      id,
      { Name: name, EndpointID: '', MacAddress: mac, IPv4Address: `${address}/${network.subnet.split('/')[1]}`, IPv6Address: '' },
    ]),
  ),
  Options: {},
  Labels: network.labels,
});

export const runNetworkInspect: Handler = async (invocation) => {
  const networks = (await (await invocation.context.engine()).openObjects()).networks();
  return printObjects(invocation, (name) => inspectNetwork(findNetwork(networks, name)));
};

/** By name, or by what an id begins with. Throws NOT_FOUND. */
const findNetwork = (networks: readonly NetworkDetail[], wanted: string): NetworkDetail => {
  const found =
    networks.find(({ name }) => name === wanted) ??
    (/^[0-9a-f]{4,64}$/.test(wanted) ? networks.find(({ id }) => id.startsWith(wanted)) : undefined);
  if (found === undefined) {
    throw new HyprError('NOT_FOUND', `there is no network ${wanted}`, { hint: 'a stack has its networks while it is up: hypr network ls' });
  }
  return found;
};
