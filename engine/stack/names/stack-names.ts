import { join } from 'node:path';
import { onAbort } from '../../../base/abort.ts';
import { logger } from '../../../base/log.ts';
import { AsyncQueue } from '../../../base/queue.ts';
import { chooseLoopback } from '../../../net/addresses/loopback.ts';
import { nameDomain } from '../../../net/names/directory.ts';
import { type NameableReplica, namesOfStack, type StackName } from '../../../net/names/stack-names.ts';
import { Tunnels } from '../../../net/ports/serve-tunnels.ts';
import type { Dial } from '../../../net/types.ts';
import type { EventBus } from '../../logs/bus.ts';
import { sharedNetworkName } from '../../model/network-key.ts';
import type { PublishedName, PublishedNames } from '../../model/published-names.ts';
import { reachablePorts } from '../../replica/parts/listeners.ts';
import type { Replica } from '../../replica/replica.ts';
import { findSharedNetwork } from '../../resources/shared-networks.ts';
import type { LeaseRow, LoopbackRow, VmRow } from '../../state/records.ts';
import type { StateStore } from '../../state/store.ts';

const log = logger('names');

/** Several replicas change at once when a stack starts; listeners are told in one message. */
const PAUSE_MS = 20;

export interface StackNamesOptions {
  readonly stack: string;
  /** The folder of the stack's sockets. */
  readonly runDir: string;
  readonly store: StateStore;
  readonly replicas: ReadonlyMap<string, Replica>;
  readonly bus: EventBus;
}

/** What the database has about the names of a stack, read once for all of them. */
interface Found {
  readonly leases: readonly LeaseRow[];
  readonly loopbacks: readonly LoopbackRow[];
  readonly socketOf: (key: string) => string | undefined;
}

/** The names of a stack, told again to all listeners after each change. */
export class PublishedStackNames {
  readonly #options: StackNamesOptions;
  readonly #domain = nameDomain();
  readonly #listeners = new Set<(names: PublishedNames) => void>();
  /** While somebody listens: follows what happens in the stack. */
  #unsubscribe: (() => void) | undefined;
  readonly #toldProblems = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #lastText = '';
  /** Owners (`web`, `web-2`) whose ports are open at their loopback addresses. */
  #bound: ReadonlySet<string> = new Set();

  readonly #tunnels: Tunnels;

  constructor(options: StackNamesOptions) {
    this.#options = options;
    this.#tunnels = new Tunnels(join(options.runDir, 'ports.sock'), (address) => this.#dialIsolated(address));
  }

  /** Looks for changes in a moment. */
  note(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#tell();
    }, PAUSE_MS).unref();
  }

  noteBound(owners: ReadonlySet<string>): void {
    this.#bound = owners;
    this.note();
  }

  /** The names of namesOfStack, with what belongs to each. */
  names(): { readonly names: readonly StackName[]; readonly problems: readonly string[] } {
    const { stack, store, replicas } = this.#options;
    const services = Object.keys(store.stack(stack)?.project.services ?? {});
    return namesOfStack(stack, services, [...replicas.values()].map(nameable), this.#domain);
  }

  published(): PublishedNames {
    const { stack, store } = this.#options;
    const { names, problems } = this.names();
    const leases = store.leases(stack);
    const networks = store.networks(stack);
    const loopbacks = store.loopbacks();
    const socketOf = (key: string): string | undefined => {
      const shared = sharedNetworkName(key);
      const row = shared === undefined ? networks.find((network) => network.key === key) : findSharedNetwork(store, shared);
      return row?.record?.socket;
    };
    return { stack, problems, names: names.map((name) => this.#publish(name, { leases, loopbacks, socketOf })) };
  }

  #publish({ members, ...name }: StackName, { leases, loopbacks, socketOf }: Found): PublishedName {
    const targets = members.flatMap((member) => {
      const replica = this.#options.replicas.get(member);
      return replica?.row.spec.isolated === undefined ? targetOf(replica, leases, socketOf) : [this.#isolatedTarget(replica, loopbacks)];
    });
    return { ...name, address: this.addressOf(name.owner, loopbacks), isBound: this.#bound.has(name.owner), targets };
  }

  /** A machine without a NIC is reached through this process, and its loopback address on this host says which one is meant. */
  #isolatedTarget(replica: Replica, loopbacks: readonly LoopbackRow[]): PublishedName['targets'][number] {
    this.#tunnels.listen();
    return { socket: this.#tunnels.path, address: this.addressOf(ownerOf(replica), loopbacks), ports: portsOf(replica) };
  }

  #dialIsolated(address: string): Dial['dial'] | undefined {
    const isolated = [...this.#options.replicas.values()].filter(({ row }) => row.spec.isolated !== undefined);
    const loopbacks = this.#options.store.loopbacks();
    const guest = isolated.find((replica) => this.addressOf(ownerOf(replica), loopbacks) === address)?.run?.guest;
    return guest && ((_, port, signal) => guest.dial(port, signal));
  }

  /** The loopback address of a service or replica; the first caller has it reserved. `known` are those reserved a moment ago. */
  addressOf(owner: string, known: readonly LoopbackRow[]): string {
    const { stack, store } = this.#options;
    const find = (rows: readonly LoopbackRow[]) => rows.find((row) => row.stack === stack && row.owner === owner)?.address;
    return (
      find(known) ??
      store.transaction(() => {
        const taken = store.loopbacks();
        const mine = find(taken);
        if (mine !== undefined) {
          return mine;
        }
        const addresses = new Set(taken.map((row) => row.address));
        const address = chooseLoopback(`${process.getuid?.() ?? 0}/${stack}/${owner}`, (each) => addresses.has(each));
        if (store.stack(stack) !== undefined) {
          store.putLoopback({ address, stack, owner });
        }
        return address;
      })
    );
  }

  /** Calls the listener after each change until the returned function is called. */
  subscribe(listener: (names: PublishedNames) => void): () => void {
    this.#listeners.add(listener);
    this.#unsubscribe ??= this.#options.bus.subscribe((event) => {
      if (event.type === 'replica' || event.type === 'finished') {
        this.note();
      }
    });
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) {
        this.close();
      }
    };
  }

  /** The names now and again after each change, until the signal aborts. Of several unread changes only the last is given. */
  stream(signal: AbortSignal): AsyncIterableIterator<PublishedNames> {
    let leave = () => {};
    let unsubscribe = () => {};
    const queue: AsyncQueue<PublishedNames> = new AsyncQueue({
      keepNewest: 1,
      onClose: () => {
        unsubscribe();
        leave();
      },
    });
    leave = onAbort(signal, () => queue.end());
    // Before the others, because what is told is compared with what was told last.
    this.#tell();
    unsubscribe = this.subscribe((names) => void queue.push(names));
    const now = this.published();
    this.#lastText = JSON.stringify(now);
    void queue.push(now);
    return queue;
  }

  /** Stops following until somebody listens again. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
  }

  /** Ends for good, with connections to machines without a NIC. */
  async release(): Promise<void> {
    this.close();
    await this.#tunnels.close();
  }

  #tell(): void {
    if (this.#listeners.size === 0) {
      return;
    }
    const names = this.published();
    const text = JSON.stringify(names);
    if (text === this.#lastText) {
      return;
    }
    this.#lastText = text;
    for (const problem of names.problems.filter((each) => !this.#toldProblems.has(each))) {
      this.#toldProblems.add(problem);
      log.warn('a name cannot be given', { problem });
    }
    for (const listener of [...this.#listeners]) {
      listener(names);
    }
  }
}

const nameable = (replica: Replica): NameableReplica => nameableRow(replica.row, portsOf(replica));

const nameableRow = (row: VmRow, listening: readonly number[]): NameableReplica => ({
  name: row.name,
  service: row.service,
  number: row.number,
  oneOff: row.oneOff,
  state: row.state,
  health: row.health,
  labels: row.spec.labels,
  aliases: row.spec.networks.flatMap((network) => network.aliases).filter((alias) => alias !== row.service && alias !== row.name),
  listening,
  expected: [...row.spec.ports.filter(({ protocol }) => protocol === 'tcp').map(({ port }) => port), ...row.spec.exposed.flatMap(tcpPort)],
});

const portsOf = (replica: Replica): number[] => reachablePorts(replica.row.spec, replica.listeners);

const ownerOf = ({ row }: Replica): string => `${row.service}-${row.number}`;

/** `80/tcp`, `80`; ranges are left out. */
const tcpPort = (exposed: string): number[] => {
  const [, port] = /^(\d+)(?:\/tcp)?$/.exec(exposed) ?? [];
  return port === undefined ? [] : [Number(port)];
};

/** Its first network, which published ports go through, too. Nothing for a machine without a NIC. */
const targetOf = (
  replica: Replica | undefined,
  leases: readonly LeaseRow[],
  socketOf: (key: string) => string | undefined,
): PublishedName['targets'] => {
  const attached = replica?.row.spec.networks ?? [];
  const key = (attached.find((network) => network.isDefault) ?? attached[0])?.key;
  const address = leases.find((lease) => lease.vmId === replica?.row.id && lease.network === key)?.ip;
  const socket = key === undefined ? undefined : socketOf(key);
  return replica === undefined || address === undefined || socket === undefined ? [] : [{ socket, address, ports: portsOf(replica) }];
};
