import { statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { diskUsage } from '../../base/host/disk-usage.ts';
import { diskError } from '../../base/host/files.ts';
import { type HomePaths, homePaths } from '../../base/paths.ts';
import { followEvents } from '../logs/record/follow-events.ts';
import { recordEvent } from '../logs/record/record-event.ts';
import type { ObjectApi, PruneVolumes, ReplicaDetail, VolumeDetail } from '../model/object-types.ts';
import type { ReplicaSpec } from '../model/spec.ts';
import { ASKED } from '../model/spec.ts';
import { ANONYMOUS_LABEL, refuseBadVolumeName } from '../model/volume-name.ts';
import { replicaStatus } from '../replica/parts/status.ts';
import { discardVolume } from '../resources/discard-volume.ts';
import { matchingVms } from '../state/matching-vms.ts';
import { composeHash, isStandalone } from '../state/project-labels.ts';
import type { VmRow, VolumeRow } from '../state/records.ts';
import { openStateReader, openStateStore, type StateReader } from '../state/store.ts';
import { renameReplica } from './changes/change-replica.ts';
import { updateReplica } from './changes/update-replica.ts';
import { composeLabels, listNetworks } from './list-networks.ts';
import { networkCommands } from './network-commands.ts';

/** Volumes, networks and replicas of all stacks, for docker's commands outside compose. */
export const openObjects = (paths: HomePaths = homePaths()): ObjectApi => {
  const read = <T>(work: (state: StateReader) => T): T => {
    const state = openStateReader(paths.database);
    try {
      return work(state);
    } finally {
      state.close();
    }
  };
  return {
    volumes: () => read(listVolumes),
    networks: () => read(listNetworks),
    replicas: (reference) => read((state) => findReplicas(state, reference, paths)),
    events: (options) => {
      if (options.onNotice !== undefined) {
        void tellOtherVersions(options.onNotice, options.signal);
      }
      return followEvents(paths.events, options);
    },
    recordEvent: (event) => recordEvent(paths.events, event),
    ...networkCommands(paths),
    renameReplica: (id, name) => renameReplica(paths, id, name),
    updateReplica: (id, update) => updateReplica(paths, id, update),
    createVolume: (name, labels) => createVolume(paths, name, labels),
    removeVolume: (name) => removeVolume(paths, name),
    pruneVolumes: (options) => pruneVolumes(paths, read(listVolumes), options),
  };
};

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);

const mounts =
  (volume: string) =>
  ({ spec }: VmRow): boolean =>
    spec.mounts.some((mount) => mount.kind === 'volume' && mount.volume === volume);

const listVolumes = (state: StateReader): VolumeDetail[] => {
  const vms = state.vms();
  return state
    .volumes()
    .map(({ name, stack, key, form, path, labels, createdAt }) => ({
      name,
      stack,
      path,
      ...(form === 'disk' ? sizeOf(path) : {}),
      labels: stack === '' || isNameless(labels, key === name) ? labels : { ...labels, ...composeLabels(stack, 'volume', key) },
      createdAt,
      users: vms.filter(mounts(name)).map((vm) => vm.name),
    }))
    .sort(byName);
};

/** Nothing where it cannot be looked at: one bad path is no reason to list no volume. */
const sizeOf = (path: string): Pick<VolumeDetail, 'sizeMib'> => {
  try {
    return { sizeMib: Math.floor(statSync(path).size / 2 ** 20) };
  } catch {
    return {};
  }
};

/** Of a container that docker's API made: its name is made up, and no Compose file has it. */
const isNameless = (labels: VolumeRow['labels'], isMadeUp: boolean): boolean => isMadeUp && labels[ANONYMOUS_LABEL] !== undefined;

const findReplicas = (state: StateReader, reference: string | undefined, paths: HomePaths): ReplicaDetail[] => {
  const all = listNetworks(state);
  const vms = state.vms();
  const volumes = Object.fromEntries(state.volumes().map(({ name, path }) => [name, path]));
  return (reference === undefined ? vms.toSorted(byName) : matchingVms(vms, reference)).map((vm) => {
    const networks = all.filter(({ members }) => members.some(({ id }) => id === vm.id));
    const stack = state.stack(vm.stack);
    const owner = vms.find(({ stack, name }) => stack === vm.stack && name === vm.spec.shares?.replica);
    return {
      stack: vm.stack,
      standalone: isStandalone(stack, vm),
      status: replicaStatus(vm, state.leases(vm.stack)),
      spec: owner === undefined ? vm.spec : { ...vm.spec, ...hostOf(owner.spec) },
      asked: stack?.project.services[vm.service]?.[ASKED] as ReplicaDetail['asked'],
      requestLabels: stack?.project.services[vm.service]?.labels ?? {},
      configHash: composeHash(stack, vm.service) ?? vm.configHash,
      pid: vm.machine?.process.pid,
      logPath: join(paths.logs, vm.stack, `${vm.name}.jsonl`),
      ...(owner === undefined ? {} : { machineOf: owner.id }),
      networks,
      volumes,
    };
  });
};

const tellOtherVersions = async (onNotice: (message: string) => void, signal: AbortSignal): Promise<void> =>
  (await import('./check-supervisors.ts')).tellOtherVersions(onNotice, signal);

/** A service in the machine of another has that one's name for itself. */
const hostOf = ({ hostname, domainname }: ReplicaSpec): Pick<ReplicaSpec, 'hostname' | 'domainname'> => ({ hostname, domainname });

/** Creates a folder rather than a disk, because several machines can mount a folder; who will mount it is not known yet. */
const createVolume = async (paths: HomePaths, name: string, labels: Readonly<Record<string, string>>): Promise<void> => {
  refuseBadVolumeName(name);
  const state = openStateStore(paths.database);
  try {
    const path = join(paths.volumes, name, 'data');
    if (state.volumes().some((row) => row.name === name)) {
      return;
    }
    try {
      await mkdir(path, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw diskError(error, path);
    }
    state.putVolume({ name, stack: '', key: name, form: 'folder', path, labels, createdAt: Date.now() });
  } finally {
    state.close();
  }
};

const pruneVolumes = async (
  paths: HomePaths,
  volumes: readonly VolumeDetail[],
  { all, matches = () => true }: PruneVolumes,
): Promise<{ names: string[]; bytes: number }> => {
  const names: string[] = [];
  let bytes = 0;
  for (const volume of volumes) {
    if (volume.users.length === 0 && (all || volume.labels[ANONYMOUS_LABEL] !== undefined) && matches(volume)) {
      const size = await diskUsage(volume.path);
      if (await isRemoved(paths, volume.name)) {
        bytes += size;
        names.push(volume.name);
      }
    }
  }
  return { names, bytes };
};

/** False for one that got a user meanwhile, or that another prune removed. */
const isRemoved = async (paths: HomePaths, name: string): Promise<boolean> => {
  try {
    await removeVolume(paths, name);
    return true;
  } catch (error) {
    if (error instanceof HyprError && (error.code === 'VOLUME_IN_USE' || error.code === 'NOT_FOUND')) {
      return false;
    }
    throw error;
  }
};

const removeVolume = async (paths: HomePaths, name: string): Promise<void> => {
  const state = openStateStore(paths.database);
  try {
    // In one transaction: a replica created meanwhile either has the volume already, or finds it gone and creates it again.
    await discardVolume(state, () => {
      const found = state.volumes().find((volume) => volume.name === name);
      if (found === undefined) {
        throw new HyprError('NOT_FOUND', `there is no volume ${name}`, { hint: 'see: hypr volume ls' });
      }
      const user = state.vms().find(mounts(name));
      if (user !== undefined) {
        throw new HyprError('VOLUME_IN_USE', `volume ${name} is used by ${user.name} of the stack ${user.stack}, which is ${user.state}`, {
          hint: `remove that first: hypr -p ${user.stack} down`,
        });
      }
      return found;
    });
  } finally {
    state.close();
  }
};
