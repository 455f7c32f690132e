import { randomBytes } from 'node:crypto';
import { join, posix } from 'node:path';
import { withLock } from '../../../base/host/lock.ts';
import { runtimeDir, shortHash } from '../../../base/paths.ts';
import type { MountConfig, NetworkConfig, Project, Service, ServiceNetwork } from '../../../compose/model/model.ts';
import { DEFAULT_NETWORK } from '../../model/network-key.ts';
import { UP_DEFAULTS } from '../../model/option-defaults.ts';
import { AUTO_REMOVE } from '../../model/spec.ts';
import type { Image, NetworkDetail } from '../../model/types.ts';
import { ANONYMOUS_LABEL } from '../../model/volume-name.ts';
import { ApiError, notHere } from '../http/errors.ts';
import { asList, asRecord, asText } from '../http/values.ts';
import type { Host } from './host.ts';
import { serviceOf } from './service-of.ts';

type Keys = Readonly<Record<string, unknown>>;

export interface Creation {
  /** Undefined: one is made up. */
  readonly name: string | undefined;
  /** Of the request: Config with HostConfig and NetworkingConfig. */
  readonly config: Keys;
  readonly image: Image;
  readonly findNetwork: (name: string) => NetworkDetail;
  readonly signal: AbortSignal;
}

/** Makes a machine that is not started: a stack of its own with one service, as `hypr run` does. Gives its id. Throws 400, 404, 409, 501. */
export const createMachine = async (host: Host, creation: Creation): Promise<string> => {
  const name = creation.name === undefined ? `run-${randomBytes(4).toString('hex')}` : checkName(creation.name);
  return await withFreeName(host, name, () => make(host, name, creation));
};

const make = async (host: Host, name: string, creation: Creation): Promise<string> => {
  const { config, image, signal } = creation;
  const made = nameVolumes(serviceOf(config, image), image);
  const { service } = made;
  const { networks, own } = networksOf(creation);
  const volumes = { ...(await makeVolumes(host, service, made.volumes)), ...made.volumes };
  const stack = stackName(host, name);
  const project: Project = {
    name: stack,
    workingDir: '/',
    files: [],
    services: { [name]: { ...service, ...own, container_name: name } },
    disabledServices: {},
    networks,
    volumes,
    secrets: {},
    configs: {},
    extensions: {},
    environment: {},
  };
  const options = { ...UP_DEFAULTS, noStart: true, pull: 'never' as const };
  await host.withStack(stack, (opened) => opened.up(project, options, () => {}, signal));
  const [replica] = host.objects.replicas().filter((detail) => detail.stack === stack);
  if (replica === undefined) {
    throw new ApiError(500, `${name} was removed before it was there`);
  }
  return replica.status.id;
};

/** Throws 400. */
export const checkName = (given: string): string => {
  const name = given.replace(/^\//, '');
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name)) {
    throw new ApiError(400, `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  }
  return name;
};

/** Work that takes a name, one at a time for each name, whichever process serves. Throws 409 when the name is taken. */
export const withFreeName = async <T>(host: Host, name: string, work: () => Promise<T>): Promise<T> =>
  await withLock(
    join(runtimeDir(), `name-${shortHash(name, 16)}.lock`),
    { what: `the container name "/${name}"`, timeout: NAME_MS },
    () => {
      refuseTaken(host, name);
      return work();
    },
  );

/** How long another one may take to make its container. */
const NAME_MS = 120_000;

const refuseTaken = (host: Host, name: string): void => {
  const [other] = host.objects.replicas().filter(({ status }) => status.name === name);
  if (other !== undefined) {
    throw new ApiError(
      409,
      `Conflict. The container name "/${name}" is already in use by container "${other.status.id}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
  }
};

/** A stack's name has fewer letters than a container's may have, and others have names of their own. */
const stackName = (host: Host, name: string): string => {
  const clean = name.toLowerCase().replace(/[^a-z0-9_-]/g, '-');
  const taken = new Set([...host.objects.replicas(), ...host.objects.networks()].map(({ stack }) => stack));
  return clean === name && !taken.has(name) ? name : `${clean}-${randomBytes(3).toString('hex')}`;
};

/**
 * Volumes without a name get one, as in docker: `docker compose` hands them on by it to the container that replaces this one. They go
 * with the last machine that has them. One that removes itself has no successor, and keeps its own.
 */
const nameVolumes = (service: Service, image: Image): { service: Service; volumes: Project['volumes'] } => {
  if (service[AUTO_REMOVE] === true) {
    return { service, volumes: {} };
  }
  const mounts = service.volumes ?? [];
  const taken = new Set([...mounts.map(({ target }) => posix.resolve('/', target)), ...(service.tmpfs ?? []).map(tmpfsTarget)]);
  const ofImage = Object.keys(image.config.Volumes ?? {}).filter((target) => !taken.has(posix.resolve('/', target)));
  const volumes: Project['volumes'] = {};
  const named = [...mounts, ...ofImage.map((target): MountConfig => ({ type: 'volume', target }))].map((mount): MountConfig => {
    if (mount.type !== 'volume' || mount.source !== undefined) {
      return mount;
    }
    const source = randomBytes(32).toString('hex');
    volumes[source] = { name: source, labels: { [ANONYMOUS_LABEL]: '' } };
    return { ...mount, source };
  });
  return { service: { ...service, volumes: named }, volumes };
};

const tmpfsTarget = (entry: string): string => posix.resolve('/', entry.split(':')[0] ?? '');

/** As docker: a volume that is named is there from then on. */
const makeVolumes = async (host: Host, service: Service, own: Project['volumes']): Promise<Project['volumes']> => {
  const names = (service.volumes ?? []).flatMap(({ type, source }) =>
    type === 'volume' && source !== undefined && own[source] === undefined ? [source] : [],
  );
  for (const name of names) {
    await host.objects.createVolume(name, {});
  }
  return Object.fromEntries(names.map((name) => [name, { name, external: true }]));
};

interface Networks {
  readonly networks: Record<string, NetworkConfig>;
  readonly own: Pick<Service, 'networks' | 'network_mode'>;
}

/** `NetworkMode` is the first network; the others are the endpoints of NetworkingConfig. */
const networksOf = ({ config, findNetwork }: Creation): Networks => {
  const mode = asText(asRecord(config.HostConfig).NetworkMode) ?? 'default';
  const endpoints = asRecord(asRecord(config.NetworkingConfig).EndpointsConfig);
  if (mode === 'none' || config.NetworkDisabled === true) {
    return { networks: {}, own: { network_mode: 'none' } };
  }
  if (mode === 'host' || mode.startsWith('container:')) {
    throw notHere(`the network mode ${mode}`, 'every machine has NICs of its own, or none');
  }
  const first = mode === 'default' ? (Object.keys(endpoints)[0] ?? DEFAULT_NETWORK) : mode;
  const names = [first, ...Object.keys(endpoints).filter((name) => name !== first)];
  const found = names.map((name, index) => ({
    network: needShared(findNetwork(name)),
    endpoint: asRecord(endpoints[name]),
    isFirst: index === 0,
  }));
  return {
    networks: Object.fromEntries(found.map(({ network: { name } }) => [name, { name, external: true }])),
    own: { networks: Object.fromEntries(found.map(({ network, endpoint, isFirst }) => [network.name, endpointOf(endpoint, isFirst)])) },
  };
};

const needShared = (network: NetworkDetail): NetworkDetail => {
  if (network.stack !== '') {
    throw notHere(
      `joining the network ${network.name}`,
      `it is private to the stack ${network.stack}; make one with docker network create`,
    );
  }
  return network;
};

const endpointOf = (endpoint: Keys, isFirst: boolean): ServiceNetwork => {
  const { IPv4Address, IPv6Address } = asRecord(endpoint.IPAMConfig);
  const [address, address6, mac] = [asText(IPv4Address), asText(IPv6Address), asText(endpoint.MacAddress)];
  const aliases = [...asList(endpoint.Aliases).map(String), ...asList(endpoint.DNSNames).map(String)];
  return {
    aliases,
    ...(address === undefined ? {} : { ipv4_address: address }),
    ...(address6 === undefined ? {} : { ipv6_address: address6 }),
    ...(mac === undefined ? {} : { mac_address: mac }),
    // The first one is eth0 and has the default route, as in docker.
    ...(isFirst ? { priority: 1, gw_priority: 1 } : {}),
  };
};
