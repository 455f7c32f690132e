import type { Socket } from 'node:net';
import type { ProcessIdentity } from '../../base/host/process.ts';
import type { Fallback } from './fallback.ts';

/** A disk of a machine. `serial` (≤ 20 bytes, [A-Za-z0-9_-]) is how the guest finds it. */
export interface DiskSpec {
  readonly serial: string;
  readonly path: string;
  /** `vmdk`: a flat multi-extent descriptor over an erofs index and its layer tars. */
  readonly format: 'raw' | 'vmdk';
  readonly readOnly: boolean;
  /** An ext4 file system of this size with nothing on it, which `create` makes unless the file is there. */
  readonly blank?: { readonly sizeMib: number; readonly label: string };
}

export interface NicSpec {
  /** n0, n1… */
  readonly id: string;
  readonly mac: string;
  readonly mtu: number;
}

/** A folder of the host given to the guest by virtiofs. */
export interface ShareSpec {
  readonly tag: string;
  readonly path: string;
  readonly readOnly: boolean;
  /** Make files belong to the invoking user on the host and to root in the guest (bind mounts); or keep owners as they are. */
  readonly ownership: 'squash' | 'keep';
  /** `path` is a file: the guest gets a folder with nothing in it but that, under its name. */
  readonly file?: true;
  /** The guest keeps a copy of it: it has to hear of every change. */
  readonly synced?: true;
}

/**
 * News of a folder. `path` is from the folder, without a slash at its ends; of `lost` (anything may have changed), `limit` (not all folders
 * in it are watched) and `ready` (all that is to be watched is) it is empty.
 */
export interface FolderChange {
  readonly kind: 'written' | 'appeared' | 'gone' | 'lost' | 'limit' | 'ready';
  readonly path: string;
}

/**
 * A PCI card of the host that a machine is to have: one by its address (0000:01:00.0), the nth GPU (from 0), or so many GPUs that nobody has. `vendor` is
 * PCI's number (0x10de is NVIDIA); default any.
 */
export type CardWish =
  | { readonly address: string }
  | { readonly nth: number; readonly vendor?: number }
  | { readonly gpus: number | 'all'; readonly vendor?: number };

export interface MachineSpec {
  /** Unique on this host, e.g. shop-db-1; shown in the process list. */
  readonly name: string;
  /** Folder for sockets and pid files, 0700, short enough for unix sockets; made by create. */
  readonly runDir: string;
  readonly consoleLog: string;
  /** The machine's own folder, whose files it may open while it runs: what it is saved to, disks that are plugged in. */
  readonly folder?: string;
  readonly vcpus: number;
  readonly memoryMib: number;
  readonly disks: readonly DiskSpec[];
  readonly nics: readonly NicSpec[];
  readonly shares: readonly ShareSpec[];
  /** Set after a start failed: how to start instead. Otherwise the fastest way that there is. */
  readonly fallback?: Fallback;
  /** Further machines that are about to be started from the same image. */
  readonly siblings?: number;
  /** Ends it when the host's disk is full, instead of holding it until there is space: nobody waits for it. */
  readonly endWhenFull?: true;
  /** How many disks `plugDisk` may have plugged in at a time; a clone has what its template has. */
  readonly sparePorts?: number;
  /**
   * How many NICs `plugNic` may have plugged in beside those that it begins with, if it boots: all are in ports then, so that they can be
   * unplugged, too. A clone has what its template has.
   */
  readonly nicPorts?: number;
  /** It runs machines itself: its processor can virtualise, and its guest has /dev/kvm. */
  readonly nested?: true;
  /** Cards of the host, which it has alone (vmm/vfio): it boots, and cannot be saved. Of a machine that runs, the addresses of all that it has. */
  readonly cards?: readonly CardWish[];
}

/** The record of a running machine, enough for another process to take it over. */
export interface MachineRecord {
  readonly backend: string;
  readonly spec: MachineSpec;
  readonly process: ProcessIdentity;
  /** virtiofsd and other helpers that belong to it and must not outlive it. */
  readonly helpers: readonly ProcessIdentity[];
  readonly agentSocket: string;
  readonly controlSocket: string;
  /** How its devices are laid out; a restore must lay them out in the same way. */
  readonly layout: DeviceLayout;
  /** The id of the toolchain that runs it. */
  readonly programs: string;
  /** The template that it is a clone of. */
  readonly template?: string;
  /** The template's guest had the root and a writable layer mounted. */
  readonly rooted?: true;
  /** The folder of its cgroup, where it has one. */
  readonly cgroup?: string;
  /** The NICs that it has now, once they are others than those of its spec. */
  readonly nics?: readonly NicPlace[];
  /** The disks that were plugged in while it ran. */
  readonly plugged?: readonly DiskPlace[];
}

/** A disk that was plugged into a running machine, and the port that it is in. */
export interface DiskPlace {
  readonly disk: DiskSpec;
  readonly port: number;
}

/** Pure: all disks that a machine has now. */
export const disksOf = ({ spec, plugged = [] }: Pick<MachineRecord, 'spec' | 'plugged'>): DiskSpec[] => [
  ...spec.disks,
  ...plugged.map(({ disk }) => disk),
];

/** A NIC of a running machine and the port that it is plugged into. */
export interface NicPlace {
  readonly id: string;
  readonly mac: string;
  readonly port: number;
}

/** `cold`: all devices exist from the start; `clone`: the template's devices, with the machine's own plugged into its slots. */
export type DeviceLayout = 'cold' | 'clone';

/** A machine that is saved on disk. It can be resumed once, because its disks change afterwards. */
export interface SavedMachine {
  readonly backend: string;
  /** The id of the toolchain that wrote the state; other programs may not be able to read it. */
  readonly programs: string;
  readonly layout: DeviceLayout;
  readonly spec: MachineSpec;
  /** The file with memory and devices. It contains the guest's secrets. */
  readonly state: string;
}

export interface MachineExit {
  /** `off`: the guest powered off; `killed`: by us; `crashed`: anything else. */
  readonly reason: 'off' | 'killed' | 'crashed';
  readonly detail?: string;
  /** Last lines of the guest's console and of the VMM's stderr, for crashed. */
  readonly lastLines: readonly string[];
}

export interface VmmCapabilities {
  /** Hardware virtualisation; false means software emulation. */
  readonly accelerated: boolean;
  readonly pause: boolean;
  readonly shares: boolean;
  readonly hotplug: boolean;
  readonly snapshot: boolean;
}

/** A program with its arguments; `fds[i]` becomes descriptor 3 + i of the child. */
export interface VmmCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** One kind of VMM. */
export interface Vmm {
  readonly name: string;
  readonly capabilities: VmmCapabilities;
  /** Pure: the command line for a spec; nic i reads descriptor 3 + i. */
  buildCommand(spec: MachineSpec): VmmCommand;
  /** Spawns the VMM with the guest stopped at its first instruction. Takes over `nicSockets[i]` for nic i in every outcome. */
  create(spec: MachineSpec, nicSockets: readonly Socket[], signal?: AbortSignal): Promise<Machine>;
  /**
   * Takes over a machine that another process started; undefined if its process has ended: its leftovers are then removed by `sweep`.
   * Throws HYPR_TIMEOUT when it lives and does not answer, as one that is held by its host: it is as before, and can be asked again.
   */
  adopt(record: MachineRecord, signal?: AbortSignal): Promise<Machine | undefined>;
  /**
   * Restores a saved machine, stopped; `resume` lets it run. Takes over the sockets in every outcome. Throws VMM_SAVED when the
   * state is gone or was written by other programs.
   */
  restore(saved: SavedMachine, nicSockets: readonly Socket[], signal?: AbortSignal): Promise<Machine>;
  /**
   * What changes in a folder of this host that is shared, until the signal aborts, without what is in .git and node_modules unless it is `whole`; absent where the backend cannot tell. Throws VMM_START where the folder cannot be watched.
   */
  watchFolder?(path: string, signal: AbortSignal, whole?: boolean): AsyncIterable<FolderChange[]>;
  /** Counts a failure of this template: its clone failed, and the same machine started in another way. */
  templateFailed?(template: string): Promise<void>;
  /** Kills what a record names and removes its run folder; safe to repeat. */
  sweep(record: MachineRecord): Promise<void>;
  /** Ends what this process does for machines in the background; those that run go on. To be called before the process ends. */
  close?(): Promise<void>;
  /** Ends a machine whose `create` was cut short because its process was killed, so that there is no record of it. Safe to repeat. */
  sweepPending?(runDir: string): Promise<void>;
}

/** A disk that was plugged in. The guest must have unmounted it before it is unplugged. */
export interface PluggedDisk {
  unplug(signal?: AbortSignal): Promise<void>;
}

/** One running VMM process. It outlives this process; `release` detaches from it without stopping it. */
export interface Machine {
  readonly record: MachineRecord;
  /** Resolves once, never rejects. */
  readonly exited: Promise<MachineExit>;
  start(signal?: AbortSignal): Promise<void>;
  /** Tells when it is held because the host's disk is full, and when it goes on: it does so by itself. At once if it is held already. */
  onHold?(listener: (held: boolean) => void): void;
  /** Calls back whenever its guest runs on after it was stopped, for whatever reason: its clock stood meanwhile. Replaces the last one. */
  onResume?(listener: () => void): void;
  /** Takes network links down first, so that a paused guest cannot block its network; `resume` brings them up again. */
  pause(signal?: AbortSignal): Promise<void>;
  resume(signal?: AbortSignal): Promise<void>;
  /**
   * Writes a paused machine's memory and devices to the file `state`, made 0600. It stays paused. Throws
   * HYPR_DISK_FULL, VMM_START; nothing is left of the file then.
   */
  save(state: string, signal?: AbortSignal): Promise<SavedMachine>;
  /** Waits up to `timeout` ms for the guest (which was asked through its agent) to power off, then kills. */
  stop(timeout: number, signal?: AbortSignal): Promise<MachineExit>;
  kill(): Promise<MachineExit>;
  /** Ends a machine whose guest has answered `powerOff`: its disks are synced, so its kernel need not shut down. */
  finish(): Promise<MachineExit>;
  /**
   * Ends the machine, as crashed, when a process that it needs besides its own is gone (virtiofsd): its guest would wait for that without end.
   * The machine does so by itself where that is our child. Nothing tells of the end of another's, and QEMU does not: whoever looks after a
   * machine that was taken over asks.
   */
  endIfCrippled?(): void;
  /** After the exit: ends helpers and removes the run folder. */
  delete(): Promise<void>;
  /**
   * Plugs a disk into the running machine; absent where the backend cannot. The record changes. Throws VMM_START when no port is free or the
   * disk is in use, HYPR_UNSUPPORTED when it is larger than the machine may write.
   */
  plugDisk?(disk: DiskSpec, signal?: AbortSignal): Promise<PluggedDisk>;
  /** Takes a plugged disk with this serial away, whoever plugged it in; nothing happens where there is none. The guest must have unmounted it. */
  unplugDisk?(serial: string, signal?: AbortSignal): Promise<void>;
  /**
   * Plugs a NIC into the running machine, whose frames go over the socket, and takes the socket over in every outcome; absent where the
   * backend cannot. The record changes. Throws VMM_START when no port is free, HYPR_UNSUPPORTED where the machine has none.
   */
  plugNic?(nic: Omit<NicSpec, 'id'>, socket: Socket, signal?: AbortSignal): Promise<void>;
  /** Takes the NIC with this MAC address away; nothing happens where there is none. Errors as above. */
  unplugNic?(mac: string, signal?: AbortSignal): Promise<void>;
  /** Host memory that this machine uses, in bytes (PSS). */
  memory(): Promise<number>;
  /** What the host's KVM counted about it (exits and their causes); empty under software emulation, absent where the backend cannot tell. */
  counters?(signal?: AbortSignal): Promise<Readonly<Record<string, number>>>;
  release(): void;
}
