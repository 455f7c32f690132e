import type { ReplicaStatus } from './events.ts';
import type { ReplicaSpec } from './spec.ts';

/** A named volume of any stack. */
export interface VolumeDetail {
  readonly name: string;
  /** The stack that created it; empty for a volume created with `hypr volume create`. */
  readonly stack: string;
  /** Path on this host: an ext4 disk or a folder. */
  readonly path: string;
  /** The user's labels and those that docker compose adds. */
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Names of the replicas, running or not, that mount it. */
  readonly users: readonly string[];
}

/** A network of a stack. */
export interface NetworkDetail {
  /** 64 hex digits, stable for as long as the network exists. */
  readonly id: string;
  readonly name: string;
  readonly stack: string;
  /** CIDR. */
  readonly subnet: string;
  readonly gateway: string;
  readonly internal: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly members: ReadonlyArray<{ readonly id: string; readonly name: string; readonly address: string; readonly mac: string }>;
}

/** Everything known about one replica. */
export interface ReplicaDetail {
  readonly stack: string;
  readonly status: ReplicaStatus;
  readonly spec: ReplicaSpec;
  readonly configHash: string;
  /** Pid of its VMM; undefined when it has no machine. */
  readonly pid: number | undefined;
  readonly logPath: string;
  readonly networks: readonly NetworkDetail[];
  /** Paths of its named volumes. */
  readonly volumes: Readonly<Record<string, string>>;
}

/** Docker's objects (volumes, networks, containers) of all stacks, read from the database without a supervisor. */
export interface ObjectApi {
  /** Sorted by name. */
  volumes(): VolumeDetail[];
  /** Sorted by name. */
  networks(): NetworkDetail[];
  /** Replicas of all stacks that have this name, or whose id begins with it; without a reference all, by name. */
  replicas(reference?: string): ReplicaDetail[];
  /** Creates a volume for `external: true`; an existing one is left as it is. Throws COMPOSE_INVALID. */
  createVolume(name: string, labels: Readonly<Record<string, string>>): Promise<void>;
  /** Throws VOLUME_IN_USE, NOT_FOUND. */
  removeVolume(name: string): Promise<void>;
  /** Removes all volumes that no replica mounts; returns their names and the bytes freed. */
  pruneVolumes(): Promise<{ readonly names: readonly string[]; readonly bytes: number }>;
}
