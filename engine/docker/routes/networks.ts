import { DEFAULT_NETWORK } from '../../model/network-key.ts';
import type { NetworkDetail } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';
import { type Checks, compileFilters, hasLabel, isYes, labelJudges, nameJudge, untilOf } from '../http/filters.ts';
import type { Call, Routes } from '../http/router.ts';
import { asList, asMap, asRecord, asText } from '../http/values.ts';
import type { Host } from '../machines/host.ts';
import { inspectNetwork } from '../shapes/network.ts';

/** The networks of all stacks, and those that stand alone. */
export const networkRoutes = (host: Host): Routes => ({
  'GET /networks': (call) => listNetworks(host, call),
  'POST /networks/create': (call) => createNetwork(host, call),
  'POST /networks/prune': (call) => pruneNetworks(host, call),
  'GET /networks/{id}': ({ params, reply }) => reply.json(describeNetwork(findNetwork(host, params.id ?? ''))),
  'DELETE /networks/{id}': async ({ params, reply }) => {
    const network = findNetwork(host, params.id ?? '');
    await host.objects.removeNetwork(network.name, { force: false });
    tell(host, 'destroy', network);
    reply.empty(204);
  },
  'POST /networks/{id}/connect': (call) => connect(host, call),
  'POST /networks/{id}/disconnect': async ({ params, body, reply }) => {
    const network = findNetwork(host, params.id ?? '');
    const detail = host.find(asText((await body.json()).Container) ?? '');
    await host.objects.disconnectNetwork(network.name, detail.status.id);
    tell(host, 'disconnect', network, { container: detail.status.id });
    reply.empty(200);
  },
});

/** By name, or by what an id begins with. Throws 404. */
export const findNetwork = (host: Host, wanted: string): NetworkDetail => {
  const networks = host.objects.networks();
  const named = wanted === 'default' ? DEFAULT_NETWORK : wanted;
  const byId = /^[0-9a-f]{4,64}$/.test(wanted) ? networks.find(({ id }) => id.startsWith(wanted)) : undefined;
  const found = networks.find(({ name }) => name === named) ?? byId;
  if (found === undefined) {
    throw new ApiError(404, `network ${wanted} not found`);
  }
  return found;
};

/** Clients know the driver by docker's name. */
const describeNetwork = (network: NetworkDetail): Record<string, unknown> => ({
  ...inspectNetwork(network),
  Driver: 'bridge',
  ConfigFrom: { Network: '' },
  ConfigOnly: false,
});

const listNetworks = (host: Host, { query, reply }: Call): void => {
  const isBuiltIn = ({ name, stack }: NetworkDetail): boolean => name === DEFAULT_NETWORK && stack === '';
  const matches = compileFilters<NetworkDetail>(
    query,
    {
      name: nameJudge(({ name }) => name),
      id: (network, value) => network.id.startsWith(value),
      driver: (_, value) => value === 'bridge',
      scope: (_, value) => value === 'local',
      label: (network, value) => hasLabel(network.labels, value),
      dangling: (network, value) => (network.members.length === 0 && !isBuiltIn(network)) === isYes(value),
      type: (network, value) => (isBuiltIn(network) ? 'builtin' : 'custom') === value,
    },
    LIST_CHECKS,
  );
  // As docker: who is on it is told of one network only.
  reply.json(
    host.objects
      .networks()
      .filter(matches)
      .map((network) => ({ ...describeNetwork(network), Containers: {} })),
  );
};

const LIST_CHECKS: Checks = {
  type: (value) => {
    if (value !== 'builtin' && value !== 'custom') {
      throw new ApiError(400, `invalid filter 'type=${value}'`);
    }
  },
};

const createNetwork = async (host: Host, { body, reply }: Call): Promise<void> => {
  const request = await body.json();
  const name = asText(request.Name) ?? '';
  const driver = asText(request.Driver) ?? 'bridge';
  if (driver !== 'bridge' && driver !== 'default') {
    throw new ApiError(404, `could not find plugin ${driver} in v1 plugin registry: plugin not found. hypr's networks are bridges`);
  }
  if (host.objects.networks().some((network) => network.name === name)) {
    throw new ApiError(409, `network with name ${name} already exists`);
  }
  const configs = asList(asRecord(request.IPAM).Config).map(asRecord);
  const texts = (key: string): string[] => configs.flatMap((config) => asText(config[key]) ?? []);
  const subnets = texts('Subnet');
  const id = await host.objects.createNetwork({
    name,
    subnets,
    gateways: texts('Gateway'),
    ranges: texts('IPRange'),
    reserved: Object.assign({}, ...configs.map((config) => asMap(config.AuxiliaryAddresses))),
    internal: request.Internal === true,
    ipv6: request.EnableIPv6 === true || subnets.some((subnet) => subnet.includes(':')),
    labels: asMap(request.Labels),
    options: asMap(request.Options),
  });
  tell(host, 'create', findNetwork(host, id));
  reply.json({ Id: id, Warning: '' }, 201);
};

const connect = async (host: Host, { params, body, reply }: Call): Promise<void> => {
  const request = await body.json();
  const network = findNetwork(host, params.id ?? '');
  const detail = host.find(asText(request.Container) ?? '');
  const endpoint = asRecord(request.EndpointConfig);
  const ipam = asRecord(endpoint.IPAMConfig);
  await host.objects.connectNetwork(network.name, detail.status.id, {
    address: asText(ipam.IPv4Address),
    address6: asText(ipam.IPv6Address),
    aliases: asList(endpoint.Aliases).map(String),
  });
  tell(host, 'connect', network, { container: detail.status.id });
  reply.empty(200);
};

const pruneNetworks = async (host: Host, { query, reply }: Call): Promise<void> => {
  const matches = compileFilters<NetworkDetail>(query, {
    ...labelJudges(({ labels }) => labels),
    until: (network, value) => network.createdAt < untilOf(value),
  });
  const removed: string[] = [];
  for (const network of host.objects.networks().filter(matches)) {
    if (network.stack === '' && network.name !== DEFAULT_NETWORK && network.members.length === 0) {
      await host.objects.removeNetwork(network.name, { force: false });
      tell(host, 'destroy', network);
      removed.push(network.name);
    }
  }
  reply.json({ NetworksDeleted: removed.length === 0 ? null : removed });
};

const tell = (host: Host, action: string, { id, name }: NetworkDetail, more: Record<string, string> = {}): void =>
  host.events.tell({ type: 'network', action, id, attributes: { name, type: 'bridge', ...more } });
