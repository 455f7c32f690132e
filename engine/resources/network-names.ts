import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { buildNameTable, type NamedReplica, type NameTable } from '../../net/names/name-table.ts';
import type { Network } from '../../net/types.ts';
import { sharedNetworkName } from '../model/network-key.ts';
import type { ReplicaSpec } from '../model/spec.ts';
import type { VmRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';

const log = logger('names');

/** A shared network of this stack: the names of others there, and what its gateway was told last about this stack. */
interface SharedNames {
  readonly network: Network;
  readonly others: Map<string, NameTable>;
  told: string | undefined;
}

/**
 * The names that the machines of a stack see. Those of the stack follow from its rows; on shared networks its gateway says what other
 * stacks have, and is told what this one has.
 */
export class StackNames {
  readonly #options: { readonly stack: string; readonly store: StateStore };
  readonly #shared = new Map<string, SharedNames>();

  constructor(options: { readonly stack: string; readonly store: StateStore }) {
    this.#options = options;
  }

  /** A network runs; only shared ones are remembered. */
  begin(key: string, network: Network): void {
    if (sharedNetworkName(key) !== undefined) {
      this.#shared.set(key, { network, others: new Map(), told: undefined });
    }
  }

  end(key: string): void {
    this.#shared.delete(key);
  }

  /** Takes in the tables of all stacks on a shared network. */
  learn(key: string, owners: Readonly<Record<string, NameTable>>): void {
    const { others } = this.#shared.get(key) ?? {};
    others?.clear();
    for (const [owner, names] of Object.entries(owners)) {
      if (owner !== this.#options.stack) {
        others?.set(owner, names);
      }
    }
  }

  /** The table of each replica; those on the same networks with the same links share one. */
  tables(vms: readonly VmRow[]): (spec: ReplicaSpec) => NameTable {
    const replicas = this.#named(vms);
    const tables = new Map<string, NameTable>();
    return (spec) => {
      const { links } = spec;
      const networks = spec.networks.map((attachment) => attachment.key);
      const kind = JSON.stringify([networks, links]);
      const others = networks.flatMap((key) => [...(this.#shared.get(key)?.others.values() ?? [])]);
      const table =
        tables.get(kind) ?? buildNameTable({ project: this.#options.stack, networks, replicas, others, ...(links ? { links } : {}) });
      tables.set(kind, table);
      return table;
    };
  }

  publish(vms: readonly VmRow[]): void {
    const { stack } = this.#options;
    const replicas = this.#shared.size === 0 ? [] : this.#named(vms);
    for (const [key, shared] of this.#shared) {
      const names = buildNameTable({ project: stack, networks: [key], replicas });
      const text = JSON.stringify(names);
      if (text !== shared.told) {
        shared.told = text;
        shared.network.setNames(stack, names).catch((error: unknown) => {
          shared.told = undefined;
          log.warn('a network was not told the names of the stack', { key, error: messageOf(error) });
        });
      }
    }
  }

  #named(vms: readonly VmRow[]): NamedReplica[] {
    const leases = new Map(this.#options.store.leases(this.#options.stack).map((row) => [`${row.vmId} ${row.network}`, row]));
    return vms.flatMap((vm) =>
      vm.spec.networks.flatMap(({ key, aliases }) => {
        const lease = leases.get(`${vm.id} ${key}`);
        const { service, number, name, oneOff } = vm;
        const addresses = lease === undefined ? [] : [lease.ip, ...(lease.ip6 === undefined ? [] : [lease.ip6])];
        return addresses.map((address) => ({ network: key, address, service, number, name, hostname: vm.spec.hostname, aliases, oneOff }));
      }),
    );
  }
}
