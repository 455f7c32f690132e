import { HyprError } from '../../base/errors.ts';
import type { GuestClient } from '../../guest/types.ts';
import type { AwaitPort } from '../../net/ports/publish.ts';
import type { Dial, Network, PublishedPort } from '../../net/types.ts';
import type { Platform, Publication } from '../model/platform.ts';
import type { ReplicaPort } from '../model/spec.ts';
import type { VmRow } from '../state/records.ts';
import type { StackNetworks } from './networks.ts';

interface PublishContext {
  readonly platform: Platform;
  readonly networks: StackNetworks;
  /** Connections wait for this before they are carried. */
  readonly awaitPort?: AwaitPort;
}

/** A published port is reachable from this machine only, unless the file or HYPR_PUBLISH_ADDRESS says otherwise. */
export const defaultHostAddress = (env: NodeJS.ProcessEnv = process.env): string => env.HYPR_PUBLISH_ADDRESS ?? '127.0.0.1';

/** A replica's guest while it has one: connections to a machine without a NIC go through it. */
export type FindGuest = () => Pick<GuestClient, 'dial'> | undefined;

/** Listens on all published ports of a replica or on none: when one is taken, those already opened are closed. */
export const publishPorts = async (
  vm: VmRow,
  context: PublishContext & { readonly guest: FindGuest },
  signal: AbortSignal,
): Promise<Publication[]> => {
  if (vm.spec.ports.length === 0) {
    return [];
  }
  const { via, address } = vm.spec.isolated === undefined ? await throughNetwork(vm, context, signal) : throughGuest(vm, context.guest);
  const opened: Publication[] = [];
  try {
    for (const port of vm.spec.ports) {
      const publish = (published: PublishedPort) => context.platform.publish(via, published, context.awaitPort);
      opened.push(await publishOne({ vm, port, address, publish }));
    }
    return opened;
  } catch (error) {
    await Promise.allSettled(opened.map((publication) => publication.close()));
    throw error;
  }
};

interface Way {
  readonly via: Dial & Pick<Network, 'dialUdp'>;
  readonly address: string;
}

const throughNetwork = async (vm: VmRow, context: PublishContext, signal: AbortSignal): Promise<Way> => {
  const target = await context.networks.publishingNetwork(vm.spec, signal);
  const address = target && context.networks.lease(vm)[vm.spec.networks.findIndex((attachment) => attachment.key === target.key)]?.address;
  if (target === undefined || address === undefined) {
    throw new HyprError('COMPOSE_INVALID', `service ${vm.service} publishes ports but has no network`);
  }
  return { via: target.network, address };
};

const throughGuest = ({ name }: VmRow, guest: FindGuest): Way => ({
  address: '127.0.0.1',
  via: {
    dial: async (_, port, signal) => {
      const client = guest();
      if (client === undefined) {
        throw new HyprError('STACK_NOT_RUNNING', `${name} is not running yet`);
      }
      return client.dial(port, signal);
    },
    dialUdp: () => Promise.reject(new HyprError('HYPR_UNSUPPORTED', `${name} has no NIC, and UDP needs one`)),
  },
});

interface PublishOne {
  readonly vm: VmRow;
  readonly port: ReplicaPort;
  readonly address: string;
  readonly publish: (port: PublishedPort) => Promise<Publication>;
}

/** Tries the port of the last run first, then each port of the range. */
const publishOne = async ({ vm, port, address, publish }: PublishOne): Promise<Publication> => {
  const hostAddress = port.hostAddress === '' ? defaultHostAddress() : port.hostAddress;
  const before = vm.published.find((held) => held.port === port.port && held.protocol === port.protocol && inRange(held.hostPort, port));
  const candidates = [...new Set([...(before ? [before.hostPort] : []), ...rangeOf(port)])];
  let taken: unknown;
  for (const hostPort of candidates) {
    try {
      return await publish({ protocol: port.protocol, hostAddress, hostPort, address, port: port.port });
    } catch (error) {
      if (!(error instanceof HyprError) || error.code !== 'NET_PORT_IN_USE') {
        throw error;
      }
      taken ??= error;
    }
  }
  throw taken;
};

const inRange = (hostPort: number, { hostPorts: [first, last] }: ReplicaPort): boolean =>
  first === 0 || (hostPort >= first && hostPort <= last);

const rangeOf = ({ hostPorts: [first, last] }: ReplicaPort): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** What one replica has published now. */
export class Publications {
  #open: readonly Publication[] = [];

  get ports(): PublishedPort[] {
    return this.#open.map((publication) => publication.port);
  }

  take(publications: readonly Publication[]): void {
    this.#open = publications;
  }

  async close(): Promise<void> {
    const publications = this.#open;
    this.#open = [];
    await Promise.allSettled(publications.map((publication) => publication.close()));
  }
}
