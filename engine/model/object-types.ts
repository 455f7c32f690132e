import type { Duplex } from 'node:stream';
import type { Image } from '../../builder/model/types.ts';
import type { RecordedEvent, ReplicaStatus } from './events.ts';
import type { ReplicaSpec, RestartPolicy } from './spec.ts';

/** A named volume of any stack. */
export interface VolumeDetail {
  readonly name: string;
  /** The stack that created it; empty for a volume created with `hypr volume create`. */
  readonly stack: string;
  /** Path on this host: an ext4 disk or a folder. */
  readonly path: string;
  /** What it can hold; absent for a folder. */
  readonly sizeMib?: number;
  /** The user's labels and those that docker compose adds. */
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Names of the replicas, running or not, that mount it. */
  readonly users: readonly string[];
}

/** A network of a stack, or a shared one. */
export interface NetworkDetail {
  /** 64 hex digits, stable for as long as the network exists; twelve zeros of the default network. */
  readonly id: string;
  readonly name: string;
  /** Empty for a shared network. */
  readonly stack: string;
  /** CIDR. */
  readonly subnet: string;
  readonly gateway: string;
  readonly subnet6?: string;
  readonly gateway6?: string;
  readonly range?: string;
  readonly range6?: string;
  readonly reserved: Readonly<Record<string, string>>;
  /** Options of the driver. */
  readonly options: Readonly<Record<string, string>>;
  readonly internal: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly members: ReadonlyArray<{
    readonly id: string;
    readonly name: string;
    readonly address: string;
    readonly address6?: string;
    readonly mac: string;
  }>;
}

/** `network connect` and, without `wanted`, `disconnect`. */
export interface NetworkChange {
  readonly name: string;
  /** Its id. */
  readonly replica: string;
  readonly wanted?: NetworkAttachment | undefined;
}

/** `network create`. */
export interface NetworkRequest {
  readonly name: string;
  /** One of IPv4 and one of IPv6 at most, as for `gateways`. */
  readonly subnets: readonly string[];
  readonly gateways: readonly string[];
  readonly ranges: readonly string[];
  readonly reserved: Readonly<Record<string, string>>;
  readonly internal: boolean;
  readonly ipv6: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
}

/** `network connect`. */
export interface NetworkAttachment {
  readonly address?: string | undefined;
  readonly address6?: string | undefined;
  readonly aliases: readonly string[];
}

/** Everything known about one replica. */
export interface ReplicaDetail {
  readonly stack: string;
  /** Of a stack that was made for this one alone: by `hypr run` or by docker's API. */
  readonly standalone: boolean;
  readonly status: ReplicaStatus;
  readonly spec: ReplicaSpec;
  /** Those of its Compose file, or of the request that made it; `status` has those of its image, too. */
  readonly requestLabels: Readonly<Record<string, string>>;
  /** What docker's API was asked for beyond what a machine has a use for, as `HostConfig` of the request had it: its inspect tells it again. */
  readonly asked?: Readonly<Record<string, unknown>> | undefined;
  readonly configHash: string;
  /** Pid of its VMM; undefined when it has no machine. */
  readonly pid: number | undefined;
  readonly logPath: string;
  /** Id of the replica in whose machine it runs: `network_mode: service:X`. */
  readonly machineOf?: string;
  readonly networks: readonly NetworkDetail[];
  /** Paths of its named volumes. */
  readonly volumes: Readonly<Record<string, string>>;
}

/** `update`: what is left out stays as it is. */
export interface ReplicaUpdate {
  readonly restart?: RestartPolicy;
  /** Bytes for the workload. */
  readonly memory?: number;
  readonly cpus?: number;
}

/** Docker's objects (volumes, networks, containers) of all stacks, read from the database without a supervisor. */
export interface ObjectApi {
  /** Sorted by name. */
  volumes(): VolumeDetail[];
  /** Sorted by name. */
  networks(): NetworkDetail[];
  /** Makes a shared network, for `external: true` and `run --network`, and gives its id. Throws COMPOSE_INVALID, NET_ADDRESS, NET_EXHAUSTED. */
  createNetwork(request: NetworkRequest): Promise<string>;
  /** Removes a shared network; with `force` also one that machines are on, which lose it. Throws NETWORK_IN_USE, NOT_FOUND. */
  removeNetwork(name: string, options: { readonly force: boolean }): Promise<void>;
  /** Puts a stopped replica on a network, by name. Throws NOT_FOUND, HYPR_UNSUPPORTED while its stack runs, NET_ADDRESS. */
  connectNetwork(name: string, replica: string, attachment: NetworkAttachment): Promise<void>;
  /** The reverse. */
  disconnectNetwork(name: string, replica: string): Promise<void>;
  /** Frames of a running network as a pcap stream, until it is destroyed. Throws NOT_FOUND, NET_START. */
  captureNetwork(name: string, options: { readonly snap?: number; readonly signal: AbortSignal }): Promise<Duplex>;
  /** Replicas of all stacks that have this name, or whose id begins with it; without a reference all, by name. */
  replicas(reference?: string): ReplicaDetail[];
  /**
   * What happened in this home between two times, and then what happens, until `until` or the abort: in order, each once. With neither time,
   * what happens from now on. The record keeps the newest 2 to 4 MiB.
   */
  events(options: {
    readonly since?: number | undefined;
    readonly until?: number | undefined;
    readonly signal: AbortSignal;
    /** Told, in one message, of supervisors of another version of hypr, which may record nothing. */
    readonly onNotice?: ((message: string) => void) | undefined;
  }): AsyncIterable<RecordedEvent>;
  /** Adds what was done to something that no supervisor has. Never throws. */
  recordEvent(event: RecordedEvent): void;
  /** Gives a replica that does not run, and stands alone, another name. Throws NOT_FOUND, HYPR_UNSUPPORTED while it runs. */
  renameReplica(id: string, name: string): Promise<void>;
  /** Its restart policy at once, its size from its next start on. Throws NOT_FOUND, HYPR_UNSUPPORTED for a size while it runs. */
  updateReplica(id: string, update: ReplicaUpdate): Promise<void>;
  /** Creates a volume for `external: true`; an existing one is left as it is. Throws COMPOSE_INVALID. */
  createVolume(name: string, labels: Readonly<Record<string, string>>): Promise<void>;
  /** Throws VOLUME_IN_USE, NOT_FOUND. */
  removeVolume(name: string): Promise<void>;
  /** Removes anonymous volumes that no replica mounts, with `all` those with a name, too; gives their names and the bytes freed. */
  pruneVolumes(options: PruneVolumes): Promise<{ readonly names: readonly string[]; readonly bytes: number }>;
}

export interface PruneVolumes {
  readonly all: boolean;
  /** Those that may be removed; absent: every one. */
  readonly matches?: (volume: VolumeDetail) => boolean;
}

/** What `system df -v` tells of each thing; sizes are bytes on disk, times milliseconds. */
export interface UsageDetails {
  readonly images: ReadonlyArray<{
    readonly image: Image;
    /** Of all its layers; then of those that other images have as well. */
    readonly size: number;
    readonly shared: number;
    readonly containers: number;
  }>;
  readonly containers: ReadonlyArray<{ readonly replica: ReplicaDetail; readonly size: number }>;
  readonly volumes: ReadonlyArray<{ readonly name: string; readonly links: number; readonly size: number }>;
  /** Layers that only the cache has, and disks of cache mounts. */
  readonly builds: readonly BuildUsage[];
}

export interface BuildUsage {
  readonly id: string;
  readonly type: 'regular' | 'exec.cachemount';
  readonly size: number;
  readonly created: number | undefined;
  readonly used: number;
}
