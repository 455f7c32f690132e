import { HyprError } from '../../../base/errors.ts';
import type { Image, ImageApi, NetworkDetail, ObjectApi, ReplicaDetail, VolumeDetail } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';
import type { HostView } from '../machines/host.ts';
import type { Scope } from './scope.ts';

/** The objects of this host as a machine sees them by its socket. What the scope does not allow throws 403. */
export const scopedView = (scope: Scope): HostView => {
  if (scope.may === 'everything') {
    return {};
  }
  let machines: () => ReplicaDetail[] = () => [];
  let isSeen = (_: string): boolean => false;
  return {
    objects: (all) => {
      isSeen = rememberSeen((id) => all.replicas(id).some((machine) => machine.status.id === id && scope.sees(machine)));
      machines = () => all.replicas().filter(scope.sees);
      return scopedObjects(all, scope, machines);
    },
    images: (all) => scopedImages(all, scope, () => machines()),
    hidesHost: true,
    sees: (event) => scope.hearsOf(event, (id) => isSeen(id)),
  };
};

const MOST_REMEMBERED = 1000;

/** The end of a machine is told when it is not recorded any more. */
const rememberSeen = (look: (id: string) => boolean): ((id: string) => boolean) => {
  const seen = new Set<string>();
  return (id) => {
    if (!seen.has(id) && !look(id)) {
      return false;
    }
    seen.add(id);
    const [oldest = ''] = seen;
    if (seen.size > MOST_REMEMBERED) {
      seen.delete(oldest);
    }
    return true;
  };
};

const forbid = async (): Promise<never> => {
  throw new ApiError(403, 'a machine may not change this by the socket that it has (x-hypr.docker: full allows it)');
};

const scopedObjects = (all: ObjectApi, scope: Scope, machines: () => ReplicaDetail[]): ObjectApi => {
  const networks = (): NetworkDetail[] => {
    const seen = new Set(machines().map(({ status }) => status.id));
    return all.networks().flatMap((network) => {
      const members = network.members.filter(({ id }) => seen.has(id));
      return members.length > 0 || scope.owns(network) ? [{ ...network, members }] : [];
    });
  };
  const volumes = (): VolumeDetail[] => {
    const found = machines();
    const names = new Set(found.map(({ status }) => status.name));
    const used = new Set(found.flatMap(({ status }) => status.volumes));
    return all
      .volumes()
      .filter((volume) => used.has(volume.name) || scope.owns(volume))
      .map((volume) => ({ ...volume, users: volume.users.filter((name) => names.has(name)) }));
  };
  const removed = <Options extends unknown[]>(
    list: () => ReadonlyArray<Parameters<Scope['owns']>[0] & { readonly name: string }>,
    remove: Remove<Options>,
  ): Remove<Options> => {
    const allowed: Remove<Options> = async (name, ...options) => {
      const found = list().find((object) => object.name === name);
      if (found === undefined) {
        throw new ApiError(404, `${name} not found`);
      }
      // What its machines merely use is somebody else's.
      await (scope.owns(found) ? remove(name, ...options) : forbid());
    };
    return scope.may === 'remove' ? allowed : forbid;
  };
  return {
    networks,
    volumes,
    replicas: (reference) =>
      all
        .replicas(reference)
        .filter(scope.sees)
        .map((machine) => (scope.seesWhole(machine) ? machine : withoutSecrets(machine)))
        .map((machine) => ({ ...machine, networks: within(machine, networks()) })),
    removeNetwork: removed(networks, (name, options: { force: boolean }) => all.removeNetwork(name, options)),
    removeVolume: removed(volumes, (name) => all.removeVolume(name)),
    createNetwork: forbid,
    connectNetwork: forbid,
    disconnectNetwork: forbid,
    captureNetwork: forbid,
    events: (options) => all.events(options),
    recordEvent: (event) => all.recordEvent(event),
    renameReplica: forbid,
    updateReplica: forbid,
    createVolume: forbid,
    pruneVolumes: forbid,
  };
};

type Remove<Options extends unknown[]> = (name: string, ...options: Options) => Promise<void>;

/** Labels and networks are what a reader such as Traefik needs of others. */
const withoutSecrets = (machine: ReplicaDetail): ReplicaDetail => ({
  ...machine,
  logPath: '',
  // Options of a log driver may be tokens.
  asked: undefined,
  volumes: {},
  spec: {
    ...machine.spec,
    process: { ...machine.spec.process, env: [] },
    mounts: machine.spec.mounts.map((mount) => (mount.kind === 'bind' ? { ...mount, source: '' } : mount)),
    files: machine.spec.files.map((file) => ('file' in file.source ? { ...file, source: { file: '' } } : file)),
  },
});

/** Its networks, with those of their members that are seen. */
const within = ({ networks }: ReplicaDetail, seen: readonly NetworkDetail[]): NetworkDetail[] =>
  networks.flatMap(({ id }) => seen.find((network) => network.id === id) ?? []);

/** Those of the machines that are seen, and those that are marked. */
const scopedImages = (all: ImageApi, scope: Scope, machines: () => ReplicaDetail[]): ImageApi => {
  const isSeen = ({ id, config }: Image): boolean =>
    machines().some(({ status }) => status.imageId === id) || scope.owns({ labels: config.Labels ?? {} });
  const inspect = async (name: string): Promise<Image> => {
    const image = await all.inspect(name);
    if (!isSeen(image)) {
      throw new HyprError('IMAGE_NOT_FOUND', `no such image: ${name}`);
    }
    return image;
  };
  const removeMarked: ImageApi['remove'] = async (names, options) => {
    for (const name of names) {
      const { config } = await inspect(name);
      // Of others it has only what its machines were made from.
      await (scope.owns({ labels: config.Labels ?? {} }) ? undefined : forbid());
    }
    return all.remove(names, options);
  };
  return {
    list: async () => (await all.list()).filter(isSeen),
    inspect,
    history: async (name) => all.history((await inspect(name)).id),
    remove: scope.may === 'remove' ? removeMarked : forbid,
    pull: forbid,
    tag: forbid,
    commit: forbid,
    changes: forbid,
    import: forbid,
    load: forbid,
    save: forbid,
    push: forbid,
    build: forbid,
    check: forbid,
    outline: forbid,
    targets: forbid,
  };
};
