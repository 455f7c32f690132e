import { dnsLabel } from './stack-names.ts';

/** One replica on one network, as far as its names go. A replica on two networks is given twice. */
export interface NamedReplica {
  /** Key of the network, as in `networks` of the request. */
  readonly network: string;
  readonly address: string;
  readonly service: string;
  /** Of its service's replicas. */
  readonly number: number;
  /** shop-db-1, or what `container_name` says. */
  readonly name: string;
  readonly hostname?: string | undefined;
  /** Aliases on this network. */
  readonly aliases: readonly string[];
  /** `compose run`: answers only to its own name and requested aliases, not to its service's name. */
  readonly oneOff?: boolean;
}

export interface NameRequest {
  /** Project name: names are also answered under `<project>.hypr`. */
  readonly project: string;
  /** The networks of the replica that asks. Names on other networks are not visible to it. */
  readonly networks: readonly string[];
  readonly replicas: readonly NamedReplica[];
  /** `links:` of the replica that asks: names that only it resolves → services. They override others. */
  readonly links?: Readonly<Record<string, string>>;
  /** Tables of other stacks on these networks; theirs are added to the names of this one. */
  readonly others?: readonly NameTable[];
  /** Fixed names: `extra_hosts` and, where allowed, the host's address (see `hostNames`). */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** Lower-case name → addresses, in the order of `replicas`, without repeats. */
export type NameTable = Readonly<Record<string, readonly string[]>>;

/**
 * The names that kestrel's resolver answers for one replica: service names (all replicas), aliases, container names,
 * replica names and hostnames on its networks, each bare and under `<project>.hypr` and `hypr`; and those that the host knows
 * them by (net/names/stack-names.ts): `my-app.shop.hypr` for `my_app`, `web-2.shop.hypr`. Fixed names override others.
 */
export const buildNameTable = (request: NameRequest): NameTable => {
  const table = new Map<string, Set<string>>();
  const seen = new Set(request.networks);
  for (const replica of request.replicas) {
    if (seen.has(replica.network)) {
      for (const name of namesOf(replica, request.project)) {
        addAddress(table, name, replica.address);
      }
    }
  }
  addHostNames(table, request);
  for (const [name, addresses] of (request.others ?? []).flatMap((other) => Object.entries(other))) {
    for (const address of addresses) {
      addAddress(table, name, address);
    }
  }
  for (const [alias, service] of Object.entries(request.links ?? {})) {
    const addresses = request.replicas.flatMap((replica) =>
      seen.has(replica.network) && replica.service === service && replica.oneOff !== true ? [replica.address] : [],
    );
    for (const name of addresses.length === 0 ? [] : underProject(alias, request.project)) {
      table.set(name, new Set(addresses));
    }
  }
  for (const [name, addresses] of Object.entries(request.extra ?? {})) {
    const key = normalizeName(name);
    if (key !== undefined) {
      table.set(key, new Set(addresses));
    }
  }
  const entries = [...table].map(([name, addresses]): [string, readonly string[]] => [name, [...addresses]]);
  return Object.assign(Object.create(null) as Record<string, readonly string[]>, Object.fromEntries(entries));
};

/** Search domains of the replicas of a project. */
export const searchDomains = (project: string): string[] => [`${project.toLowerCase()}.hypr`];

/** The names under which a guest finds the host, for `NameRequest.extra`; nothing where the network does not let it. */
export const hostNames = (address: string | undefined): Record<string, readonly string[]> =>
  address === undefined ? {} : { 'host.docker.internal': [address], 'host.hypr': [address] };

const namesOf = (replica: NamedReplica, project: string): Set<string> => {
  const names = new Set<string>();
  const service = replica.oneOff === true ? [] : [replica.service];
  const aliases = replica.oneOff === true ? replica.aliases.filter((alias) => alias !== replica.service) : replica.aliases;
  for (const given of [...service, replica.name, replica.hostname ?? '', ...aliases]) {
    for (const name of underProject(given, project)) {
      names.add(name);
    }
  }
  const own = normalizeName(replica.name);
  if (own !== undefined) {
    names.add(`${own}.hypr`);
  }
  return names;
};

/** The spellings of DNS and the numbers of replicas: a name that is written that way keeps its owner; else the first has it. */
const addHostNames = (table: Map<string, Set<string>>, { project, networks, replicas }: NameRequest): void => {
  const written = new Set(table.keys());
  const owners = new Map<string, string>();
  for (const { network, address, service, number, aliases } of replicas.filter(({ oneOff }) => oneOff !== true)) {
    const labels = [service, ...aliases].map((name) => name.split('.').map(dnsLabel).join('.'));
    for (const label of networks.includes(network) ? [...labels, `${dnsLabel(service)}-${number}`] : []) {
      const name = normalizeName(`${label}.${dnsLabel(project)}.hypr`);
      if (name !== undefined && !written.has(name) && (owners.get(name) ?? service) === service) {
        owners.set(name, service);
        addAddress(table, name, address);
      }
    }
  }
};

/** A name as it is and below the project's; none when it cannot be asked for. */
const underProject = (given: string, project: string): string[] => {
  const name = normalizeName(given);
  return name === undefined ? [] : [name, `${name}.${project.toLowerCase()}.hypr`];
};

const addAddress = (table: Map<string, Set<string>>, name: string, address: string): void => {
  const addresses = table.get(name) ?? new Set();
  addresses.add(address);
  table.set(name, addresses);
};

/** Lower case, no final dot; undefined for what no DNS query can ask (RFC 1035 2.3.4: labels 63, names 253 bytes). */
const normalizeName = (name: string): string | undefined => {
  const text = name.toLowerCase().replace(/\.$/, '');
  const labels = text.split('.');
  const fits = text.length <= 253 && labels.every((label) => label.length > 0 && label.length <= 63);
  return fits && /^[\x21-\x7e]+$/.test(text) ? text : undefined;
};
