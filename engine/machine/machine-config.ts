import { createHash, randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { shortHash } from '../../base/paths.ts';
import type { FileSpec, GuestClient, MachineConfig, MachineMount, NicConfig, ResolverConfig } from '../../guest/types.ts';
import type { DiskSpec, MachineSpec, ShareSpec } from '../../vmm/model/machine.ts';
import type { ReplicaMount, ReplicaSpec } from '../model/spec.ts';

/** A mount of a replica with the place on this host that backs it. */
export type BackedMount =
  | { readonly mount: ReplicaMount; readonly backing: { readonly kind: 'disk'; readonly path: string; readonly readOnly?: true } }
  | {
      readonly mount: ReplicaMount;
      readonly backing: { readonly kind: 'folder'; readonly path: string; readonly ownership: ShareSpec['ownership'] };
    }
  | { readonly mount: ReplicaMount; readonly backing: { readonly kind: 'file'; readonly content: Uint8Array; readonly mode: number } }
  | { readonly mount: ReplicaMount; readonly backing: { readonly kind: 'shared-file'; readonly folder: string; readonly name: string } }
  | { readonly mount: ReplicaMount; readonly backing: { readonly kind: 'image'; readonly path: string; readonly format: 'raw' | 'vmdk' } }
  | { readonly mount: ReplicaMount; readonly backing: { readonly kind: 'lent' } & Lender }
  | { readonly mount: ReplicaMount; readonly backing: { readonly kind: 'memory' | 'socket' } };

/** The replica whose machine has a volume's disk, and serves it to others. */
export interface Lender {
  readonly name: string;
  readonly guest: GuestClient;
  readonly disk: string;
  /** No mount of the borrower may write to it: then nor may its kernel. */
  readonly readOnly: boolean;
}

/** Virtual size of volume and writable disks: sparse, so only what is written costs anything. */
export const DISK_MIB = 64 * 1024;

/** For disks of one-offs, in a machine that others have joined. */
const ONE_OFF_PORTS = 4;

/** The disks and folders of one replica. */
export interface ReplicaDisks {
  readonly root: { readonly path: string; readonly format: 'raw' | 'vmdk' };
  readonly upper: string;
  /** What `upper` can hold when it is made. */
  readonly upperMib: number;
  readonly mounts: readonly BackedMount[];
}

export interface MachineParts extends ReplicaDisks {
  readonly name: string;
  readonly runDir: string;
  readonly consoleLog: string;
  readonly vcpus: number;
  readonly memoryMib: number;
  readonly nics: readonly NicConfig[];
  /** Replicas of the same image that have yet to boot. */
  readonly siblings: number;
  readonly nested?: true;
  readonly cards?: MachineSpec['cards'];
  /** Those of other services in this machine, by the name under which its guest knows each. */
  readonly members?: Readonly<Record<string, ReplicaDisks>>;
}

/** For `network connect` while it runs. A machine that boots takes longer for each (docs/performance.md). */
const NIC_PORTS = 2;

/** The machine's hardware, for the VMM. Serials connect disks and shares to what the guest is told below. Pure. */
export const machineSpec = (parts: MachineParts): MachineSpec => {
  const all = [devices(parts, ''), ...Object.entries(parts.members ?? {}).map(([name, member]) => devices(member, name))];
  return {
    name: parts.name,
    runDir: parts.runDir,
    consoleLog: parts.consoleLog,
    folder: dirname(parts.upper),
    vcpus: parts.vcpus,
    memoryMib: parts.memoryMib,
    disks: all.flatMap(({ disks }) => disks),
    nics: parts.nics.map(({ mac, mtu }, index) => ({ id: `n${index}`, mac, mtu })),
    nicPorts: NIC_PORTS + (all.length > 1 ? ONE_OFF_PORTS : 0),
    shares: all.flatMap(({ shares }) => shares),
    ...(parts.siblings > 0 ? { siblings: parts.siblings } : {}),
    ...(parts.nested ? { nested: true } : {}),
    ...(parts.cards === undefined ? {} : { cards: parts.cards }),
  };
};

/** The name of a replica in the machine of another: what its serials and tags begin with. */
export const memberName = ({ id }: { readonly id: string }): string => `m${shortHash(id, 8)}`;

/** The serial of the disk that is the root of a member of a machine. */
export const rootSerial = (member: string): string => `${member}root`;

/** `member`: what its serials and tags begin with; empty for the machine's own service. */
export const devices = (parts: ReplicaDisks, member: string): { readonly disks: DiskSpec[]; readonly shares: ShareSpec[] } => {
  const disks: DiskSpec[] = [
    { serial: rootSerial(member), path: parts.root.path, format: parts.root.format, readOnly: true },
    { serial: `${member}upper`, path: parts.upper, format: 'raw', readOnly: false, blank: { sizeMib: parts.upperMib, label: 'upper' } },
  ];
  const shares: ShareSpec[] = [];
  parts.mounts.forEach(({ mount, backing }, index) => {
    if (backing.kind === 'disk') {
      disks.push({ serial: `${member}vol${index}`, path: backing.path, format: 'raw', readOnly: backing.readOnly === true });
    } else if (backing.kind === 'image') {
      disks.push({ serial: `${member}vol${index}`, path: backing.path, format: backing.format, readOnly: true });
    } else if (backing.kind === 'folder') {
      const synced = isCopied(mount) ? { synced: true as const } : {};
      shares.push({
        tag: `${member}share${index}`,
        path: backing.path,
        readOnly: isReadOnly(mount),
        ownership: backing.ownership,
        ...synced,
      });
    } else if (backing.kind === 'shared-file') {
      shares.push({
        tag: `${member}share${index}`,
        path: join(backing.folder, backing.name),
        readOnly: isReadOnly(mount),
        ownership: 'squash',
        file: true,
      });
    }
  });
  return { disks, shares };
};

/** Everything that the guest is told except its workload. Only the entropy and the clock differ between two calls. */
export const machineConfig = (input: {
  readonly spec: ReplicaSpec;
  readonly parts: Pick<MachineParts, 'mounts' | 'nics'>;
  readonly resolver: ResolverConfig;
  readonly hosts: MachineConfig['hosts'];
  readonly files: readonly FileSpec[];
  readonly machineId: string;
  /** What the serials of its disks begin with, in the machine of another. */
  readonly member?: string;
  /** The names of those of its disks and shares that the machine has already under another one. */
  readonly known?: ReadonlyMap<string, string>;
}): MachineConfig => ({
  hostname: input.spec.hostname,
  ...(input.spec.domainname ? { domainname: input.spec.domainname } : {}),
  machineId: input.machineId,
  entropy: randomBytes(64),
  clock: Date.now(),
  root: { disk: named(input, rootSerial(input.member ?? '')), upper: `${input.member ?? ''}upper`, readOnly: input.spec.readOnly },
  mounts: input.parts.mounts
    .flatMap((backed, index) =>
      mountConfig(backed, named(input, `${input.member ?? ''}vol${index}`), named(input, `${input.member ?? ''}share${index}`)),
    )
    .concat(shmConfig(input.spec)),
  nics: input.parts.nics,
  resolver: input.resolver,
  hosts: [...input.hosts, ...input.spec.extraHosts],
  files: [...input.files, ...input.parts.mounts.flatMap(copiedFile)],
  sysctls: input.spec.sysctls,
});

const named = ({ known }: { readonly known?: ReadonlyMap<string, string> }, name: string): string => known?.get(name) ?? name;

const isCopied = (mount: ReplicaMount): boolean => mount.kind === 'bind' && mount.synced !== undefined;

const isReadOnly = (mount: ReplicaMount): boolean => mount.readOnly;

const mountConfig = ({ mount, backing }: BackedMount, disk: string, tag: string): MachineMount[] => {
  const { target, readOnly } = mount;
  const subpath = (mount.kind === 'volume' || mount.kind === 'image') && mount.subpath !== undefined ? { subpath: mount.subpath } : {};
  // As docker does, an empty volume is filled from the image, and a bind mount hides what the image has there.
  const seed = mount.kind === 'anonymous' || ((mount.kind === 'volume' || mount.kind === 'bind') && mount.seed === true);
  switch (backing.kind) {
    case 'disk':
      // What cannot be written cannot be filled either.
      return [{ kind: 'disk', disk, target, readOnly, seed: seed && backing.readOnly !== true, ...subpath }];
    case 'image':
      return [{ kind: 'disk', disk, target, readOnly: true, seed: false, image: true, ...subpath }];
    case 'lent':
      return [{ kind: 'share', tag, target, readOnly, seed: seed && !backing.readOnly, ...subpath }];
    case 'folder':
      return [{ kind: 'share', tag, target, readOnly, seed, ...subpath, ...(isCopied(mount) ? { synced: true } : {}) }];
    case 'shared-file':
      return [{ kind: 'share', tag, target, readOnly, seed: false, file: backing.name }];
    case 'memory':
      return mount.kind === 'tmpfs'
        ? [
            {
              kind: 'tmpfs',
              target,
              readOnly,
              ...(mount.size === undefined ? {} : { size: mount.size }),
              ...(mount.mode === undefined ? {} : { mode: mount.mode }),
            },
          ]
        : [];
    case 'file':
    case 'socket':
      return [];
  }
};

const shmConfig = (spec: ReplicaSpec): MachineMount[] =>
  spec.shmSize === undefined ? [] : [{ kind: 'tmpfs', target: '/dev/shm', readOnly: false, size: spec.shmSize, mode: 0o1777 }];

const copiedFile = ({ mount, backing }: BackedMount): FileSpec[] =>
  backing.kind === 'file'
    ? [{ path: mount.target, content: backing.content, mode: backing.mode, uid: 0, gid: 0, ...(mount.readOnly ? { readOnly: true } : {}) }]
    : backing.kind === 'socket'
      ? // Where the socket will be: also a root that is read-only has the place then.
        [{ path: mount.target, content: Buffer.alloc(0), mode: 0o600, uid: 0, gid: 0 }]
      : [];

/** Stable for the life of a replica, unique to it, and reveals nothing about the host. */
export const machineIdOf = (replicaId: string): string => createHash('sha256').update(`machine-id ${replicaId}`).digest('hex').slice(0, 32);
