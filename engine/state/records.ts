import type { ProcessIdentity } from '../../base/host/process.ts';
import type { Project } from '../../compose/model/model.ts';
import type { NetworkRecord, NetworkSpec, PublishedPort } from '../../net/types.ts';
import type { MachineRecord, SavedMachine } from '../../vmm/model/machine.ts';
import type { Health, ReplicaState } from '../model/events.ts';
import type { ReplicaSpec } from '../model/spec.ts';

/** What is recorded about a stack: the model it was last brought up with, and its supervisor. */
export interface StackRow {
  readonly name: string;
  readonly workingDir: string;
  readonly files: readonly string[];
  readonly project: Project;
  readonly supervisor: ProcessIdentity | undefined;
  readonly createdAt: number;
}

/** One replica, running or not. Times are milliseconds since the epoch. */
export interface VmRow {
  readonly id: string;
  readonly stack: string;
  readonly service: string;
  readonly number: number;
  readonly oneOff: boolean;
  readonly name: string;
  readonly state: ReplicaState;
  readonly health: Health;
  readonly exitCode: number;
  readonly reason: string | undefined;
  readonly restarts: number;
  readonly configHash: string;
  readonly imageId: string;
  readonly spec: ReplicaSpec;
  /** Present while a VMM process may exist. */
  readonly machine: MachineRecord | undefined;
  /** Present while the replica is suspended. It can be resumed from this once. */
  readonly saved: SavedRun | undefined;
  /** Ports that are actually listened on while it runs; a restart uses the same ones again. */
  readonly published: readonly PublishedPort[];
  readonly stoppedByUser: boolean;
  readonly createdAt: number;
  readonly startedAt: number | undefined;
  readonly finishedAt: number | undefined;
  readonly bootMs: number | undefined;
  /** The run number of its last boot (`run` of LogRecord). */
  readonly run: number | undefined;
  /** Variables that the programs of its last boot have besides those of the spec. */
  readonly env?: readonly string[] | undefined;
}

/** A suspended replica's machine, saved on disk. */
export interface SavedRun {
  readonly machine: SavedMachine;
  /** It was already paused when it was suspended, and stays paused after resuming. */
  readonly paused: boolean;
}

export interface NetworkRow {
  readonly stack: string;
  readonly key: string;
  readonly name: string;
  readonly spec: NetworkSpec;
  readonly configHash: string;
  /** Present while a gvproxy process may exist. */
  readonly record: NetworkRecord | undefined;
  readonly createdAt: number;
}

/** A network that belongs to no stack: made by `network create`, or the default network of standalone machines. */
export interface SharedNetworkRow {
  readonly name: string;
  /** 64 hex digits, except for the default network. */
  readonly id: string;
  /** Its run folder is chosen when its gateway starts. */
  readonly spec: NetworkSpec;
  readonly options: SharedNetworkOptions;
  /** Present while a gvproxy process may exist. */
  readonly record: NetworkRecord | undefined;
  readonly createdAt: number;
}

export interface SharedNetworkOptions {
  readonly labels: Readonly<Record<string, string>>;
  /** Options of the driver, which are kept to be shown. */
  readonly driver: Readonly<Record<string, string>>;
  /** Only addresses of this range are given out (`--ip-range`). */
  readonly range?: string;
  readonly range6?: string;
  /** Addresses that are never given out (`--aux-address`), by name. */
  readonly reserved: Readonly<Record<string, string>>;
}

/** Addresses of a replica on a network. `stack` is empty where the network is shared, so that all stacks take from the same ones. */
export interface LeaseRow {
  readonly stack: string;
  /** Key of the network (model/network-key.ts). */
  readonly network: string;
  readonly ip: string;
  readonly ip6?: string | undefined;
  readonly vmId: string;
  readonly mac: string;
  readonly leasedAt: number;
}

/** The loopback address on this host under which a service (`web`) or replica (`web-2`) has its ports. */
export interface LoopbackRow {
  readonly address: string;
  readonly stack: string;
  readonly owner: string;
}

export interface VolumeRow {
  readonly name: string;
  readonly stack: string;
  readonly key: string;
  /** `disk`: an ext4 file; `folder`: shared by virtiofs. */
  readonly form: 'disk' | 'folder';
  readonly path: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: number;
}
