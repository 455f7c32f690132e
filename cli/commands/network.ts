import { HyprError } from '../../base/errors.ts';
import { created, inspectNetwork } from '../../engine/docker/shapes/network.ts';
import { networkNotFound } from '../../engine/model/network-key.ts';
import type { NetworkDetail } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { NETWORK } from '../format/docker-types.ts';
import { compileFilters, hasLabel, isYes, labelText, nameJudge } from '../format/filters.ts';
import { goView } from '../format/go-view.ts';
import { formatListing } from '../format/output.ts';
import { printObjects } from './print-objects.ts';

const COLUMNS = { ID: 'NETWORK ID', Name: 'NAME', Driver: 'DRIVER', Scope: 'SCOPE' };

/** The network that is always there. */
const BUILT_IN = 'bridge';

/** `network ls`: the default network, the networks of all stacks that are up or stopped, and those that were made by `network create`. */
export const runNetworkLs: Handler = async ({ context, flags }) => {
  const matches = compileFilters<NetworkDetail>(flags.list('filter'), {
    name: nameJudge(({ name }) => name),
    id: (network, value) => network.id.startsWith(value),
    driver: (_, value) => value === 'bridge' || value === 'gvproxy',
    scope: (_, value) => value === 'local',
    label: (network, value) => hasLabel(network.labels, value),
    dangling: (network, value) => (network.members.length === 0 && network.name !== BUILT_IN) === isYes(value),
    type: (network, value) => typeOf(network) === checkType(value),
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

const typeOf = ({ name, stack }: NetworkDetail): string => (name === BUILT_IN && stack === '' ? 'builtin' : 'custom');

const checkType = (value: string): string => {
  if (value !== 'builtin' && value !== 'custom') {
    throw new HyprError('HYPR_USAGE', `--filter type: "${value}" is neither builtin nor custom`);
  }
  return value;
};

const SHORT_ID = 12;

const rowOf = ({ id, name, internal, labels, subnet6, createdAt }: NetworkDetail, noTrunc: boolean): Record<string, string> => ({
  CreatedAt: created(createdAt),
  Driver: 'bridge',
  ID: noTrunc ? id : id.slice(0, SHORT_ID),
  IPv4: 'true',
  IPv6: String(subnet6 !== undefined),
  Internal: String(internal),
  Labels: labelText(labels),
  Name: name,
  Scope: 'local',
});

export const runNetworkInspect: Handler = async (invocation) => {
  const networks = (await (await invocation.context.engine()).openObjects()).networks();
  return printObjects(invocation, (name) => goView(NETWORK, inspectNetwork(findNetwork(networks, name))));
};

/** By name, or by what an id begins with. Throws NOT_FOUND. */
export const findNetwork = (networks: readonly NetworkDetail[], wanted: string): NetworkDetail => {
  const found =
    networks.find(({ name }) => name === wanted) ??
    (/^[0-9a-f]{4,64}$/.test(wanted) ? networks.find(({ id }) => id.startsWith(wanted)) : undefined);
  if (found === undefined) {
    throw networkNotFound(wanted);
  }
  return found;
};
