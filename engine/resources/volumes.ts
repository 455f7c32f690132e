import { mkdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { diskError, exists, syncFolder } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import { shortHash } from '../../base/paths.ts';
import type { RootDisk } from '../../builder/model/types.ts';
import type { Project, VolumeConfig } from '../../compose/model/model.ts';
import type { DiskSpec } from '../../vmm/model/machine.ts';
import { type BackedMount, DISK_MIB } from '../machine/machine-config.ts';
import type { Platform } from '../model/platform.ts';
import type { ReplicaMount, ReplicaSpec } from '../model/spec.ts';
import type { AnonymousFate } from '../model/volume-name.ts';
import { refuseBadVolumeName } from '../model/volume-name.ts';
import { volumeDevice } from '../resolve/volume-device.ts';
import type { VmRow, VolumeRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';
import { backBind } from './back-bind.ts';
import { discardVolume } from './discard-volume.ts';
import { orphanDisks, orphanShared, removeNameless, volumeFolder } from './orphan-volumes.ts';
import { type AwaitGuest, borrow, findKeeper, isBorrower, isUsedInMachine, refuseWithinMachine } from './volume-users.ts';

/** Volume names of the model that a service mounts. */
export const volumesOf = (project: Project, service: string): string[] =>
  (project.services[service]?.volumes ?? []).flatMap((mount) =>
    mount.type === 'volume' && mount.source && volumeDevice(project.volumes[mount.source]).kind === 'own'
      ? [project.volumes[mount.source]?.name ?? mount.source]
      : [],
  );

/** What a named volume is made as. Throws where it cannot be made: EXTERNAL_NOT_FOUND, HYPR_UNSUPPORTED, COMPOSE_INVALID. Pure. */
export const volumeToMake = (project: Project, name: string): Pick<VolumeRow, 'key' | 'form' | 'labels'> & { readonly sizeMib: number } => {
  const key = Object.keys(project.volumes).find((candidate) => project.volumes[candidate]?.name === name) ?? name;
  const config = project.volumes[key];
  if (config?.external === true) {
    throw new HyprError('EXTERNAL_NOT_FOUND', `volume ${name} is declared external and does not exist`, {
      hint: `make it: hypr volume create ${name}; or drop \`external: true\` to let this stack make it`,
    });
  }
  if (config?.driver !== undefined && config.driver !== 'local') {
    throw new HyprError('HYPR_UNSUPPORTED', `volume ${name}: driver ${config.driver} is a docker plug-in, which hypr does not load`);
  }
  const form = isShared(project, name) ? 'folder' : 'disk';
  return { key, form, sizeMib: sizeOf(config, form), labels: config?.labels ?? {} };
};

interface MountOwner {
  readonly spec: ReplicaSpec;
  readonly attached: readonly DiskSpec[] | undefined;
  readonly signal: AbortSignal;
}

export class StackVolumes {
  readonly #stack: string;
  readonly #store: StateStore;
  readonly #platform: Platform;
  /** Volume that is a disk → the replica that boots or last booted with it. */
  readonly #claims = new Map<string, string>();

  readonly #awaitGuest: AwaitGuest;

  constructor(options: { stack: string; store: StateStore; platform: Platform; awaitGuest: AwaitGuest }) {
    this.#stack = options.stack;
    this.#store = options.store;
    this.#platform = options.platform;
    this.#awaitGuest = options.awaitGuest;
  }

  /**
   * Creates a named volume: an ext4 disk if one replica uses it, a shared folder if several do. An external volume must exist
   * already. One that another stack made since this was planned is left as it is.
   */
  async create(project: Project, name: string, signal: AbortSignal): Promise<void> {
    refuseBadVolumeName(name);
    const lock = join(this.#platform.paths.locks, `volume-${shortHash(name, 16)}.lock`);
    await withLock(lock, { what: `the volume ${name}`, signal }, async () => {
      if (!this.#store.volumes().some((volume) => volume.name === name)) {
        await this.#create(project, name, signal);
      }
    });
  }

  async #create(project: Project, name: string, signal: AbortSignal): Promise<void> {
    const { key, form, sizeMib, labels } = volumeToMake(project, name);
    const dir = join(this.#platform.paths.volumes, volumeFolder({ name, labels }));
    const path = join(dir, form === 'disk' ? 'data.ext4' : 'data');
    await this.#make({ name, stack: this.#stack, key, form, path, labels, createdAt: Date.now() }, sizeMib, signal);
  }

  /** On failure nothing of it is left: nobody would know of it, as the next attempt may be in a folder of another name. */
  async #make(row: VolumeRow, sizeMib: number, signal: AbortSignal): Promise<void> {
    const { name, form, path } = row;
    const dir = dirname(path);
    const isNew = !(await exists(dir));
    try {
      await makeFolder(form === 'folder' ? path : dir);
      if (form === 'disk') {
        await this.#platform.makeDisk({ path, sizeMib, label: name, durable: true, signal });
      }
      // A power cut must not leave a record of what is not there.
      await syncFolder(dir);
      await syncFolder(dirname(dir));
      this.#store.putVolume(row);
    } catch (error) {
      if (isNew) {
        await rm(dir, { recursive: true, force: true }).catch(() => {});
      }
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    const user = this.#store
      .vms()
      .find((vm) => vm.stack !== this.#stack && vm.spec.mounts.some((mount) => mount.kind === 'volume' && mount.volume === name));
    if (user !== undefined) {
      throw new HyprError('VOLUME_IN_USE', `volume ${name} is used by ${user.name} of the stack ${user.stack}`);
    }
    await discardVolume(this.#store, () => this.#store.volumes().find((volume) => volume.name === name));
  }

  /** The folder of a replica's disks. */
  replicaDir(replica: string): string {
    return join(this.#platform.paths.machines, this.#stack, replica);
  }

  /** The writable layer of a replica, kept across stop and start. The VMM creates it for the first machine. */
  async upper(replica: string): Promise<string> {
    const path = join(this.replicaDir(replica), 'upper.ext4');
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    return path;
  }

  /** Removes the disks of a replica; once its row is gone, too, `removeNameless` removes those that have a name. */
  async removeReplica(row: Pick<VmRow, 'id' | 'name'>, volumes: AnonymousFate): Promise<void> {
    const dir = this.replicaDir(row.name);
    if (volumes === 'hand-on') {
      await rm(join(dir, 'upper.ext4'), { force: true });
      return;
    }
    if (volumes === 'keep') {
      await orphanDisks({ paths: this.#platform.paths, store: this.#store }, { folder: dir, of: row.id });
    }
    await rm(dir, { recursive: true, force: true });
    await removeIfEmpty(dirname(dir));
  }

  /** Makes those anonymous volumes that a removed replica shared, and that no replica has any more, volumes that nobody has. */
  orphanShared(row: Pick<VmRow, 'stack' | 'spec'>): void {
    orphanShared(this.#store, row);
  }

  /** Removes those anonymous volumes of a replica that have a name and that no replica has any more: the last of those removed at once does. */
  async removeNameless(row: Pick<VmRow, 'stack' | 'spec'>): Promise<void> {
    await removeNameless(this.#store, row);
  }

  /**
   * Finds, and for anonymous volumes creates, what backs each mount of a replica on this host. `attached`: the disks of the
   * machine that it runs in, where that runs already.
   */
  async back(spec: ReplicaSpec, signal: AbortSignal, attached?: readonly DiskSpec[]): Promise<BackedMount[]> {
    this.#claimFree(spec);
    const backed: BackedMount[] = [];
    for (const mount of spec.mounts) {
      backed.push(await this.#backOne({ spec, attached, signal }, mount));
    }
    return backed;
  }

  async #backOne(whose: MountOwner, mount: ReplicaMount): Promise<BackedMount> {
    const { spec, signal } = whose;
    switch (mount.kind) {
      case 'tmpfs':
        return { mount, backing: { kind: 'memory' } };
      case 'docker':
        return { mount, backing: { kind: 'socket' } };
      case 'image':
        return { mount, backing: { kind: 'image', ...(await this.#imageDisk(spec, mount)) } };
      case 'anonymous': {
        const path = join(this.replicaDir(spec.name), `anon-${shortHash(mount.target, 12)}.ext4`);
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        await this.#platform.makeDisk({ path, sizeMib: DISK_MIB, label: 'anonymous', signal });
        return { mount, backing: { kind: 'disk', path } };
      }
      case 'volume':
        return await this.#backVolume(whose, mount);
      case 'bind':
        return backBind(spec, mount);
    }
  }

  async #imageDisk(spec: ReplicaSpec, { image, imageId }: ReplicaMount & { kind: 'image' }): Promise<RootDisk> {
    const found = await this.#platform.findImage(imageId);
    if (found === undefined) {
      throw new HyprError('IMAGE_NOT_FOUND', `the image ${image} that ${spec.name} mounts is no longer in the store`, {
        hint: 'run hypr compose up again to pull or build it',
      });
    }
    return this.#platform.rootDisk(found);
  }

  async #backVolume({ spec, attached, signal }: MountOwner, mount: ReplicaMount & { kind: 'volume' }): Promise<BackedMount> {
    const row = this.#store.volumes().find((volume) => volume.name === mount.volume);
    if (row === undefined) {
      throw new HyprError('HYPR_INTERNAL', `volume ${mount.volume} is not recorded`);
    }
    if (row.form === 'folder') {
      return { mount, backing: { kind: 'folder', path: row.path, ownership: 'keep' } };
    }
    const known = attached?.find(({ path }) => path === row.path);
    if (known !== undefined) {
      return { mount, backing: { kind: 'disk', path: row.path, ...(known.readOnly ? { readOnly: true as const } : {}) } };
    }
    const writes = !isOnlyRead(spec, mount.volume);
    const wanted = { volume: row, stack: this.#stack, writes, keeper: () => this.#keeper(row, spec) };
    refuseWithinMachine(row, spec, { stack: this.#stack, keeper: wanted.keeper() });
    const lender = await borrow(wanted, this.#awaitGuest, signal);
    if (lender !== undefined && spec.shares !== undefined) {
      throw new HyprError(
        'VOLUME_IN_USE',
        `volume ${mount.volume} is a disk that ${lender.name} is using, and ${spec.name} runs in the machine of another service`,
        {
          hint: `stop ${lender.name} first, or share: hypr volume create NEW makes one that many can use`,
        },
      );
    }
    if (lender !== undefined) {
      return { mount, backing: { kind: 'lent', ...lender } };
    }
    this.#claims.set(mount.volume, spec.name);
    const readOnly = !writes && (await this.#platform.settleDisk(row.path, signal)) ? { readOnly: true as const } : {};
    return { mount, backing: { kind: 'disk', path: row.path, ...readOnly } };
  }

  /** Claims all disks that are free, before any is waited for: two replicas that use two volumes never wait for each other. */
  #claimFree(spec: ReplicaSpec): void {
    for (const mount of spec.mounts) {
      const row = mount.kind === 'volume' ? this.#store.volumes().find((volume) => volume.name === mount.volume) : undefined;
      if (row?.form === 'disk' && this.#keeper(row, spec) === undefined) {
        this.#claims.set(row.name, spec.name);
      }
    }
  }

  /** Another replica whose machine has the disk or is about to get it. */
  #keeper(volume: VolumeRow, spec: ReplicaSpec): VmRow | undefined {
    const others = this.#store.vms().filter((vm) => vm.stack !== this.#stack || vm.name !== spec.name);
    return findKeeper(others, volume, { stack: this.#stack, claimed: this.#claims.get(volume.name) });
  }

  /** Whether another replica in the machine of this one uses a disk that was plugged into it. */
  isUsedInMachine(disk: DiskSpec, vm: VmRow): boolean {
    return isUsedInMachine(disk, vm, { vms: this.#store.vms(), volumes: this.#store.volumes() });
  }

  /** Whether another replica's machine serves it a volume. */
  borrows(vm: VmRow): boolean {
    return this.#store.volumes().some((volume) => isBorrower(vm, volume));
  }
}

/** No mount of the replica may write to it. Then neither may whoever makes a device node for its disk. */
const isOnlyRead = (spec: ReplicaSpec, volume: string): boolean =>
  spec.mounts.every((mount) => mount.kind !== 'volume' || mount.volume !== volume || mount.readOnly);

/** What a volume of this form can hold; a folder of the host has no limit that could be set. */
const sizeOf = (config: VolumeConfig | undefined, form: VolumeRow['form']): number => {
  const device = volumeDevice(config);
  const sizeMib = device.kind === 'own' ? device.sizeMib : undefined;
  if (sizeMib !== undefined && form === 'folder') {
    throw new HyprError('HYPR_UNSUPPORTED', `volume ${config?.name}: it can have no size, because several replicas mount it`, {
      hint: 'drop driver_opts.size, or let one service mount it, in one replica',
    });
  }
  return sizeMib ?? DISK_MIB;
};

/** Whether more than one replica of the project mounts a volume. */
const isShared = (project: Project, name: string): boolean => {
  const users = Object.keys(project.services).filter((service) => volumesOf(project, service).includes(name));
  const replicas = users.reduce(
    (sum, service) =>
      sum +
      (project.services[service]?.scale ?? project.services[service]?.deploy?.replicas ?? 1) +
      // The machines of its hooks are users, too.
      (project.services[service]?.pre_start?.length ?? 0),
    0,
  );
  return replicas > 1;
};

const makeFolder = async (path: string): Promise<void> => {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw diskError(error, path);
  }
};

const removeIfEmpty = async (dir: string): Promise<void> => {
  await rmdir(dir).catch(() => {});
};
