import { createHash } from 'node:crypto';
import type { NamedPort } from './directory.ts';
import { type NameLabels, readNameLabels } from './labels.ts';
import { protocolOf, webPortOf } from './web-port.ts';

/** A replica, as far as its names for the host go. */
export interface NameableReplica {
  /** shop-web-1, or what `container_name` says. */
  readonly name: string;
  readonly service: string;
  readonly number: number;
  readonly oneOff: boolean;
  readonly state: string;
  readonly health: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Of all its networks. */
  readonly aliases: readonly string[];
  /** TCP ports that can be reached from outside the replica. */
  readonly listening: readonly number[];
  /** TCP ports that it publishes or exposes: what is expected before anything listens. */
  readonly expected: readonly number[];
}

export interface StackName {
  /** As NamedService.host. */
  readonly host: string;
  readonly service?: string;
  /** Set where the name is one replica's. */
  readonly replica?: string;
  readonly state: string;
  readonly health?: string;
  readonly ports: readonly NamedPort[];
  readonly webPort?: number;
  readonly https: boolean;
  readonly hostHeader?: string;
  /** Names of the replicas that connections go to, which take turns. */
  readonly members: readonly string[];
  /** What the loopback address belongs to: `web`, or `web-2`. */
  readonly owner: string;
  /** Asked for by a label; such a name gives way to names of services of any stack. */
  readonly isExtra: boolean;
}

export interface StackNames {
  readonly names: readonly StackName[];
  /** Names that could not be given, as sentences. */
  readonly problems: readonly string[];
}

/**
 * All names of a stack, without the domain:
 *
 * - `SERVICE.STACK` and `SERVICE-N.STACK`, which is replica N; aliases of networks and a `container_name`, below the stack too;
 * - `STACK`: the first service, in the file's order, that has a web port; of a machine that is a stack of its own, that machine;
 * - names of `hypr.domains` and `dev.orbstack.domains`.
 *
 * If two want one name, the first in that order has it, then the one that is written exactly that way, then the one that comes
 * first in the file. `services` are in the file's order.
 */
export const namesOfStack = (
  stack: string,
  services: readonly string[],
  replicas: readonly NameableReplica[],
  domain: string,
): StackNames => {
  const project = dnsLabel(stack);
  const collected = new Collected();
  const isStandalone = services.length === 1 && services[0] === stack;
  // The machine of `hypr run` is a one-off of a stack of its own.
  const groups = groupByService(
    services,
    replicas.filter(({ oneOff }) => isStandalone || !oneOff),
    domain,
  );
  for (const group of groups) {
    collected.problems.push(...group.labels.problems.map((problem) => `service ${group.service}: ${problem}`));
  }
  const exact = (one: Group): number => (dnsLabel(one.service) === one.service ? 0 : 1);
  const bySpelling = [...groups].sort((one, other) => exact(one) - exact(other));
  for (const group of isStandalone ? [] : bySpelling) {
    collected.add(nameOf(group, `${dnsLabel(group.service)}.${project}`));
  }
  for (const group of isStandalone ? [] : groups) {
    for (const replica of group.replicas) {
      const owner = `${group.service}-${replica.number}`;
      collected.add(nameOf({ ...group, replicas: [replica] }, `${dnsLabel(owner)}.${project}`, { replica: replica.name, owner }));
    }
  }
  const root = isStandalone ? groups[0] : groups.find((group) => webPort(group) !== undefined);
  if (root !== undefined && project !== '') {
    collected.add(nameOf(root, project));
  }
  for (const group of groups) {
    if (!isStandalone) {
      addOthers(collected, group, project, stack);
    }
  }
  for (const replica of replicas.filter(({ oneOff }) => oneOff && !isStandalone)) {
    const group = { service: replica.service, replicas: [replica], labels: readNameLabels({}, domain) };
    collected.add(nameOf(group, `${dnsLabel(replica.name)}.${project}`, { replica: replica.name, owner: replica.name }));
  }
  for (const group of groups) {
    for (const { host, port } of group.labels.domains) {
      collected.add({ ...nameOf(group, host), ...(port === undefined ? {} : { webPort: port }), isExtra: true });
    }
  }
  return { names: collected.names, problems: collected.problems };
};

/**
 * A name as one label of DNS (RFC 1123, section 2.1): lower case, everything but letters, digits and hyphens becomes a hyphen, no hyphen
 * at either end; what is longer than 63 is cut and ends in 8 digits of its hash. Empty if nothing is left.
 */
export const dnsLabel = (name: string): string => {
  const label = name
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const hash = (): string => createHash('sha256').update(name).digest('hex').slice(0, 8);
  return label.length <= 63 ? label : `${label.slice(0, 54).replace(/-+$/, '')}-${hash()}`;
};

interface Group {
  readonly service: string;
  readonly replicas: readonly NameableReplica[];
  readonly labels: NameLabels;
}

/** Collects names; the first to have one keeps it. */
class Collected {
  readonly problems: string[] = [];
  readonly #names = new Map<string, StackName>();

  get names(): StackName[] {
    return [...this.#names.values()];
  }

  add(name: StackName): void {
    const holder = this.#names.get(name.host);
    if (/^\.|\.\.|^$/.test(name.host)) {
      this.problems.push(`${name.owner} has no letter or digit to make a name of`);
    } else if (holder === undefined) {
      this.#names.set(name.host, name);
    } else if (holder.service !== name.service) {
      this.problems.push(`${name.host} is ${holder.service}'s already and cannot be ${name.service}'s too`);
    }
  }
}

/** Aliases of networks, and container names that are not the usual ones. */
const addOthers = (collected: Collected, group: Group, project: string, stack: string): void => {
  for (const alias of new Set(group.replicas.flatMap((replica) => replica.aliases))) {
    const host = alias.split('.').map(dnsLabel).join('.');
    if (host !== dnsLabel(group.service)) {
      collected.add(nameOf(group, `${host}.${project}`));
    }
  }
  for (const replica of group.replicas) {
    const usual = ['-', '_'].map((separator) => [stack, group.service, replica.number].join(separator));
    if (!usual.includes(replica.name)) {
      const owner = `${group.service}-${replica.number}`;
      collected.add(nameOf({ ...group, replicas: [replica] }, `${dnsLabel(replica.name)}.${project}`, { replica: replica.name, owner }));
    }
  }
};

const groupByService = (services: readonly string[], replicas: readonly NameableReplica[], domain: string): Group[] => {
  const order = new Set([...services, ...replicas.map(({ service }) => service)]);
  return [...order].flatMap((service) => {
    const own = replicas.filter((replica) => replica.service === service).sort((a, b) => a.number - b.number);
    const [first] = own;
    return first === undefined ? [] : [{ service, replicas: own, labels: readNameLabels(first.labels, domain) }];
  });
};

const webPort = ({ replicas, labels }: Group): number | undefined => {
  const listening = replicas.flatMap((replica) => replica.listening);
  return webPortOf(listening.length > 0 ? listening : replicas.flatMap((replica) => replica.expected), labels.httpPort);
};

const nameOf = (group: Group, host: string, of: { replica?: string; owner?: string } = {}): StackName => {
  const best = [...group.replicas].sort((a, b) => rank(a) - rank(b));
  const [first] = best;
  const members = best.filter((replica) => first !== undefined && rank(replica) === rank(first)).map(({ name }) => name);
  const ports = [...new Set(group.replicas.flatMap((replica) => replica.listening))].sort((a, b) => a - b);
  const port = webPort(group);
  const { hostHeader, https } = group.labels;
  return {
    host,
    service: group.service,
    ...(of.replica === undefined ? {} : { replica: of.replica }),
    state: first?.state ?? 'created',
    ...(first === undefined || first.health === 'none' ? {} : { health: first.health }),
    ports: ports.map((each) => ({ port: each, protocol: each === group.labels.httpPort ? 'http' : protocolOf(each) })),
    ...(port === undefined ? {} : { webPort: port }),
    https,
    ...(hostHeader === undefined ? {} : { hostHeader }),
    members,
    owner: of.owner ?? group.service,
    isExtra: false,
  };
};

const STATES = ['running', 'paused', 'starting', 'restarting', 'stopping', 'suspended', 'created'];

/** Which replicas are asked first: those that run and are not known to be ill. */
const rank = ({ state, health }: NameableReplica): number => {
  const at = STATES.indexOf(state);
  return (at < 0 ? STATES.length : at) * 2 + (health === 'unhealthy' ? 1 : 0);
};
