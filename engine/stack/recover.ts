import { messageOf } from '../../base/errors.ts';
import { sweepPendingProcesses } from '../../base/host/pending-processes.ts';
import { logger } from '../../base/log.ts';
import { hasMachine } from '../model/lifecycle.ts';
import { sharedNetworkName, shownNetwork } from '../model/network-key.ts';
import type { Replica } from '../replica/replica.ts';
import type { StackNetworks } from '../resources/networks.ts';
import type { StackVolumes } from '../resources/volumes.ts';
import type { StateStore } from '../state/store.ts';

const log = logger('recover');

/**
 * After a supervisor was killed: takes over the networks and machines that still run, applies the restart policy to those that
 * have ended, and returns messages about what it found. A machine whose network is gone starts again.
 */
export const recoverStack = async (
  input: { stack: string; store: StateStore; replicas: ReadonlyMap<string, Replica>; networks: StackNetworks; volumes: StackVolumes },
  signal: AbortSignal,
): Promise<string[]> => {
  const said: string[] = [];
  const lostNetworks = new Set<string>();
  for (const row of input.store.networks(input.stack)) {
    if (row.record === undefined) {
      await sweepPendingProcesses(row.spec.runDir);
    } else if (!(await adoptNetwork(input.networks, row.key, signal))) {
      lostNetworks.add(row.key);
      said.push(`network ${row.name} had ended`);
    }
  }
  for (const key of sharedKeysInUse(input.replicas)) {
    if (!(await adoptNetwork(input.networks, key, signal))) {
      lostNetworks.add(key);
      said.push(`network ${shownNetwork(key)} had ended`);
    }
  }
  const active = [...input.replicas.values()].filter(
    ({ row }) => hasMachine(row.state) || row.state === 'restarting' || row.machine !== undefined,
  );
  const recover = async (replica: Replica): Promise<void> => {
    const message = await recoverReplica(replica, { lostNetworks, volumes: input.volumes }, signal);
    said.push(message);
    log.info('recovered', { replica: replica.row.name, message });
  };
  // Machines before those that run in another's.
  await Promise.all(active.filter(({ row }) => row.spec.shares === undefined).map(recover));
  await Promise.all(active.filter(({ row }) => row.spec.shares !== undefined).map(recover));
  return said;
};

/** Shared networks that a machine of this stack is on. */
const sharedKeysInUse = (replicas: ReadonlyMap<string, Replica>): Set<string> =>
  new Set(
    [...replicas.values()].flatMap(({ row }) =>
      row.machine === undefined ? [] : row.spec.networks.flatMap(({ key }) => (sharedNetworkName(key) === undefined ? [] : [key])),
    ),
  );

/** A network that cannot be taken over counts as ended and is replaced. */
const adoptNetwork = async (networks: StackNetworks, key: string, signal: AbortSignal): Promise<boolean> => {
  try {
    return await networks.adopt(key, signal);
  } catch (error) {
    log.warn('cannot adopt', { network: key, error: messageOf(error) });
    return false;
  }
};

const recoverReplica = async (
  replica: Replica,
  { lostNetworks, volumes }: { lostNetworks: ReadonlySet<string>; volumes: StackVolumes },
  signal: AbortSignal,
): Promise<string> => {
  const { name } = replica.row;
  if (replica.row.state === 'suspended') {
    await replica.suspension.finish();
    return `${name} is suspended`;
  }
  if (replica.row.state === 'restarting' && replica.row.machine === undefined) {
    replica.resumeRestart();
    return `${name} was about to restart`;
  }
  if (await replica.adopt(signal)) {
    if (replica.row.spec.networks.some((network) => lostNetworks.has(network.key))) {
      return startAgain(replica, 'its network had ended');
    }
    // What carried the volume was the supervisor.
    if (volumes.borrows(replica.row)) {
      return replica.row.oneOff
        ? `${name} is taken over, and has lost the volume that another machine served`
        : startAgain(replica, 'it had lost the volume that another machine served');
    }
    return replica.row.reason === undefined ? `${name} is taken over` : `${name} is taken over, but ${replica.row.reason}`;
  }
  if (replica.row.startedAt === undefined) {
    replica.lost('');
    return `${name} had not been started`;
  }
  replica.lost('its machine ended while no supervisor was watching');
  return replica.row.state === 'restarting' ? `${name} had ended and is started again by its restart policy` : `${name} had ended`;
};

const startAgain = async (replica: Replica, why: string): Promise<string> => {
  try {
    await replica.startAgain();
    return `${replica.row.name} was restarted, because ${why}`;
  } catch (error) {
    return `${replica.row.name} could not be started again, and ${why}: ${messageOf(error)}`;
  }
};
