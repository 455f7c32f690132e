import { messageOf } from '../../base/errors.ts';
import { sweepPendingProcesses } from '../../base/host/pending-processes.ts';
import { logger } from '../../base/log.ts';
import type { EventBus } from '../logs/bus.ts';
import { hasMachine } from '../model/lifecycle.ts';
import { sharedNetworkName, shownNetwork } from '../model/network-key.ts';
import type { Replica } from '../replica/replica.ts';
import type { StackNetworks } from '../resources/networks.ts';
import type { StackVolumes } from '../resources/volumes.ts';
import type { StateStore } from '../state/store.ts';
import { recoverReplicas } from './recover-replicas.ts';

const log = logger('recover');

/**
 * After a supervisor was killed: takes over the networks and machines that still run, applies the restart policy to those that
 * have ended, and returns messages about what it found. A machine whose network is gone starts again.
 */
export const recoverStack = async (
  input: {
    stack: string;
    store: StateStore;
    replicas: ReadonlyMap<string, Replica>;
    networks: StackNetworks;
    volumes: StackVolumes;
    bus: EventBus;
  },
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
  await Promise.all([...input.replicas.values()].map((replica) => replica.recovery.sweepAtRest()));
  const active = [...input.replicas.values()].filter(
    ({ row }) => hasMachine(row.state) || row.state === 'restarting' || row.machine !== undefined,
  );
  for (const { name, message } of await recoverReplicas(active, { lostNetworks, volumes: input.volumes, bus: input.bus }, signal)) {
    said.push(message);
    log.info('recovered', { replica: name, message });
  }
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
