import type { ReplicaStatus } from './events.ts';
import type { ReplicaSpec } from './spec.ts';

/** A named volume of any stack. */
export interface VolumeDetail {
  readonly name: string;
  /** The stack that made it; empty for one that was made by hand. */
  readonly stack: string;
  /** On this host: an ext4 disk or a folder. */
  readonly path: string;
  /** Its own, and those that docker compose adds. */
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Names of the replicas, running or not, that mount it. */
  readonly users: readonly string[];
}

/** A network of a stack. */
export interface NetworkDetail {
  /** 64 hex digits, the same as long as the network is there. */
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

/** All that is known of one replica. */
export interface ReplicaDetail {
  readonly stack: string;
  readonly status: ReplicaStatus;
  readonly spec: ReplicaSpec;
  readonly configHash: string;
  /** Of its VMM; undefined when it has no machine. */
  readonly pid: number | undefined;
  readonly logPath: string;
  readonly networks: readonly NetworkDetail[];
  /** Where its named volumes are. */
  readonly volumes: Readonly<Record<string, string>>;
}

/** What docker calls objects, of all stacks: read from the database, without any supervisor. */
export interface ObjectApi {
  /** By name. */
  volumes(): VolumeDetail[];
  /** By name. */
  networks(): NetworkDetail[];
  /** Those that have this name, or an id that begins so; of all stacks. */
  replicas(reference: string): ReplicaDetail[];
  /** A volume for `external: true`. Gives its name; one that is there already stays as it is. Throws COMPOSE_INVALID. */
  createVolume(name: string, labels: Readonly<Record<string, string>>): Promise<void>;
  /** Throws VOLUME_IN_USE, NOT_FOUND. */
  removeVolume(name: string): Promise<void>;
  /** Removes all that no replica mounts; gives their names and what they took, in bytes. */
  pruneVolumes(): Promise<{ readonly names: readonly string[]; readonly bytes: number }>;
}
