import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { withLock } from '../../base/host/lock.ts';
import { isAlive } from '../../base/host/process.ts';
import { type HomePaths, shortHash } from '../../base/paths.ts';
import { NETWORK_MTU } from '../../net/defaults.ts';
import type { Network } from '../../net/types.ts';
import { DEFAULT_NETWORK } from '../model/network-key.ts';
import type { Platform } from '../model/platform.ts';
import type { SharedNetworkRow } from '../state/records.ts';
import type { StateReader, StateStore } from '../state/store.ts';

/** The default network before anybody has used it. */
const UNUSED_DEFAULT: SharedNetworkRow = {
  name: DEFAULT_NETWORK,
  id: '000000000000',
  spec: {
    name: DEFAULT_NETWORK,
    runDir: '',
    log: '',
    subnet: '192.168.127.0/24',
    gateway: '192.168.127.1',
    internal: false,
    mtu: NETWORK_MTU,
    hostAccess: true,
  },
  options: { labels: {}, driver: { 'com.docker.network.bridge.name': 'vbr0' }, reserved: {} },
  record: undefined,
  createdAt: 0,
};

/** All of them by name; the default network is always among them. */
export const sharedNetworks = (state: Pick<StateReader, 'sharedNetworks'>): SharedNetworkRow[] => {
  const rows = state.sharedNetworks();
  return rows.some(({ name }) => name === DEFAULT_NETWORK) ? rows : [UNUSED_DEFAULT, ...rows];
};

export const findSharedNetwork = (state: Pick<StateReader, 'sharedNetworks'>, name: string): SharedNetworkRow | undefined =>
  sharedNetworks(state).find((row) => row.name === name);

/** The network of that name. Throws EXTERNAL_NOT_FOUND. */
export const needSharedNetwork = (state: Pick<StateReader, 'sharedNetworks' | 'networks'>, name: string): SharedNetworkRow => {
  const row = findSharedNetwork(state, name);
  if (row === undefined) {
    const owner = state.networks().find((network) => network.name === name)?.stack;
    throw new HyprError('EXTERNAL_NOT_FOUND', `network ${name} declared as external, but could not be found`, {
      hint:
        owner === undefined
          ? `make it: hypr network create ${name}`
          : `a network of that name is private to the stack ${owner}: make one that both use (hypr network create), and declare it external in both`,
    });
  }
  return row;
};

/** Seconds that the gateway of a shared network keeps running when nobody uses it. */
const IDLE_SECONDS = 3;

/**
 * Connects to the gateway of a shared network, or starts it. It belongs to no process: it ends by itself when no machine and no
 * supervisor is connected to it, and `release` is all that a user of it does. Throws EXTERNAL_NOT_FOUND, NET_START.
 */
export const openSharedNetwork = (name: string, { store, platform }: SharedPlace, signal: AbortSignal): Promise<Network> =>
  lockNetwork(name, platform.paths, signal, async () => {
    const row = needSharedNetwork(store, name);
    const running = row.record && (await platform.adoptNetwork(row.record, signal));
    if (running !== undefined) {
      return running;
    }
    if (row.record !== undefined) {
      // It carries machines of other stacks, too: one that is only slow or full is not ended.
      if (isAlive(row.record.process)) {
        throw new HyprError('NET_START', `the gateway of the network ${name} runs and does not answer`, {
          hint: `try again; if that does not help, end process ${row.record.process.pid}, and its machines start again`,
        });
      }
      await platform.sweepNetwork(row.record);
    }
    const logs = join(platform.paths.logs, '.networks');
    await mkdir(logs, { recursive: true, mode: 0o700 });
    const runDir = join(dirname(platform.runDir), '.networks', shortHash(name, 8));
    const network = await platform.startNetwork({ ...row.spec, runDir, log: join(logs, `${name}.log`), idleSeconds: IDLE_SECONDS }, signal);
    const createdAt = row.createdAt === 0 ? Date.now() : row.createdAt;
    store.putSharedNetwork({ ...row, createdAt, record: network.record });
    return network;
  });

interface SharedPlace {
  readonly store: StateStore;
  readonly platform: Pick<Platform, 'paths' | 'runDir' | 'startNetwork' | 'adoptNetwork' | 'sweepNetwork'>;
}

/** While one process starts or removes a network, no other does. */
export const lockNetwork = <T>(
  name: string,
  paths: Pick<HomePaths, 'locks'>,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> =>
  withLock(
    join(paths.locks, `network-${shortHash(name, 12)}`),
    { what: `the network ${name}`, timeout: 60_000, ...(signal ? { signal } : {}) },
    work,
  );
