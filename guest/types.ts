import type { Duplex } from 'node:stream';
import type { FileSpec, StepMount } from './files.ts';
import type { VolumeStream } from './volume-stream.ts';

export type { FileSpec, StepContent, StepMount } from './files.ts';

/**
 * What the host asks of a guest. `guest/client/client.ts` turns these into frames of the agent protocol
 * (docs/guest-protocol.md); `guest/agent/handlers` carries them out. Nothing is passed on the kernel's command line: a
 * machine boots to "waiting for its configuration" and gets its configuration over the protocol, so that it can also be a clone of
 * a template.
 */

/** Everything that turns a waiting machine into a replica of a service, except its workload. */
export interface MachineConfig {
  readonly hostname: string;
  readonly domainname?: string;
  /** 32 hex digits for /etc/machine-id of the running system (on tmpfs, never in the image). */
  readonly machineId: string;
  /** At least 32 random bytes from the host, mixed into the guest's pool, which is then reseeded. */
  readonly entropy: Uint8Array;
  /** Milliseconds since the epoch at the moment of sending. */
  readonly clock: number;
  readonly root: RootConfig;
  /** In mount order; targets are paths inside the root, created when missing. */
  readonly mounts: readonly MachineMount[];
  readonly nics: readonly NicConfig[];
  readonly resolver: ResolverConfig;
  /** Lines for /etc/hosts, besides localhost and the machine's own name. */
  readonly hosts: ReadonlyArray<{ readonly address: string; readonly names: readonly string[] }>;
  /** Secrets, configs and other small files, kept on tmpfs and never written to a disk. */
  readonly files: readonly FileSpec[];
  readonly sysctls: Readonly<Record<string, string>>;
}

export interface RootConfig {
  /** virtio-blk serial of the read-only erofs disk. */
  readonly disk: string;
  /** Serial of the writable ext4 disk for the overlay's upper; absent: a tmpfs upper. */
  readonly upper?: string;
  readonly readOnly: boolean;
}

export type MachineMount =
  /** `subpath` picks a folder of the volume; `seed` copies the image's content there when the volume is empty, as docker does. */
  | {
      readonly kind: 'disk';
      readonly disk: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly subpath?: string;
      readonly seed: boolean;
      /** The root of an image instead of a volume: erofs, read only. */
      readonly image?: true;
    }
  | {
      readonly kind: 'share';
      readonly tag: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly file?: string;
      readonly subpath?: string;
      readonly seed: boolean;
      /** The service sees a folder of the writable layer's disk that is kept equal with the share, both ways. Neither `file` nor `subpath`. */
      readonly synced?: true;
    }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly readOnly: boolean; readonly size?: number; readonly mode?: number };

export interface NicConfig {
  readonly mac: string;
  /** eth0, eth1…, or what the Compose file asks for. */
  readonly name: string;
  readonly address: string;
  readonly prefix: number;
  /** Only the interface that carries the default route has one. */
  readonly gateway?: string;
  /** Absent: IPv6 is off on this interface. */
  readonly ipv6?: { readonly address: string; readonly prefix: number; readonly gateway?: string };
  readonly mtu: number;
}

/** The DNS stub on 127.0.0.11: answers names of the stack from a table and forwards everything else. */
export interface ResolverConfig {
  readonly names: NameTable;
  /** Domains that belong to the stack: unknown names in them are NXDOMAIN and are not forwarded. */
  readonly search: readonly string[];
  /** In order; empty on networks without a route to the outside. */
  readonly upstreams: readonly string[];
  /** `options` of resolv.conf, e.g. `ndots:0`. */
  readonly options: readonly string[];
}

/** Lower-case name → IPv4 addresses, all replicas. */
export type NameTable = Readonly<Record<string, readonly string[]>>;

/** A program to run inside the prepared root. */
export interface ProcessSpec {
  readonly args: readonly string[];
  /** Complete environment, `KEY=value`; the agent adds only HOME (from passwd) and TERM when missing. */
  readonly env: readonly string[];
  readonly cwd: string;
  /** `user`, `uid`, `user:group`, `uid:gid` as in an image config; resolved in the guest's /etc/passwd. Empty: root. */
  readonly user: string;
  /** Supplementary groups, names or numbers. */
  readonly groups: readonly string[];
  readonly tty: boolean;
  readonly size?: { readonly columns: number; readonly rows: number };
  /** Keep stdin open; without it stdin is /dev/null. */
  readonly stdin: boolean;
  /** setrlimit names without RLIMIT_, e.g. nofile; -1 is infinity. */
  readonly limits?: Readonly<Record<string, { readonly soft: number; readonly hard: number }>>;
  /** Capabilities beyond or below the container default set; the guest's own root when privileged. */
  readonly privileged?: boolean;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  /** Compose's `init: true`: a small init as PID 1 that forwards signals and reaps. Otherwise the workload itself is PID 1. */
  readonly init?: boolean;
  /** security_opt no-new-privileges. */
  readonly noNewPrivileges?: boolean;
  /** Build machines only: they have no workload. */
  readonly mounts?: readonly StepMount[];
  /** Build machines only: its own network namespace with only a loopback interface. */
  readonly isolated?: boolean;
}

/**
 * Where a guest listens for `relay`: a unix socket, shown by a `socket` mount or at the path `target` of its root, where a file has to be;
 * or a TCP port on its loopback.
 */
export type RelayPlace =
  | { readonly socket: string; readonly mode: number; readonly uid: number; readonly gid: number; readonly target?: string }
  | { readonly port: number };

export interface OutputChunk {
  readonly stream: 'stdout' | 'stderr';
  readonly data: Uint8Array;
  /** Milliseconds since the epoch by the guest's clock. */
  readonly time: number;
  /** Bytes that the program had written to this stream before this chunk. */
  readonly offset: number;
  /** Not the program's output, but a notice about lost bytes before `offset`. */
  readonly notice?: true;
}

export interface ProcessExit {
  /** 0–255; 128 + signal when killed by one. */
  readonly code: number;
  readonly signal?: number;
  readonly oomKilled: boolean;
}

/** A program running in a guest. Output is flow-controlled: the program blocks when nobody reads it. */
export interface GuestProcess {
  readonly pid: number;
  readonly output: AsyncIterable<OutputChunk>;
  readonly exited: Promise<ProcessExit>;
  /**
   * From now on, output counts as kept only when the returned function is called with `(stream, offset)`: everything
   * before the offset. Output that is not kept is sent again to the next host.
   */
  holdOutput(): (stream: OutputChunk['stream'], offset: number) => void;
  write(data: Uint8Array): Promise<void>;
  closeStdin(): Promise<void>;
  signal(signal: number): Promise<void>;
  resize(size: { columns: number; rows: number }): Promise<void>;
}

export interface GuestInfo {
  readonly protocol: number;
  readonly agent: string;
  readonly kernel: string;
  /** State of the machine; a new supervisor that takes it over reads this first. */
  readonly state: 'waiting' | 'prepared' | 'running' | 'exited';
  /** Pid of the workload when running, its exit when exited. */
  readonly workload?: { readonly pid: number; readonly exit?: ProcessExit };
  /** Milliseconds from the kernel's start to "waiting for its configuration". */
  readonly bootMs: number;
}

export interface GuestStats {
  readonly cpuMs: number;
  readonly memoryUsed: number;
  readonly memoryTotal: number;
  readonly netRx: number;
  readonly netTx: number;
  readonly blockRead: number;
  readonly blockWrite: number;
  readonly pids: number;
  /** Free and total bytes of the writable layer's file system. */
  readonly diskFree?: number;
  readonly diskTotal?: number;
}

export interface MemberOptions {
  /** It has the message queues and the shared memory of the machine's own service. */
  readonly sharesIpc: boolean;
  readonly signal: AbortSignal;
  /** In milliseconds, until it answers. */
  readonly timeout: number;
}

export type GuestEvent =
  | { readonly type: 'listening'; readonly port: number; readonly protocol: 'tcp' | 'udp'; readonly address: string }
  | { readonly type: 'not-listening'; readonly port: number; readonly protocol: 'tcp' | 'udp'; readonly address: string }
  | { readonly type: 'workload-exited'; readonly exit: ProcessExit }
  | { readonly type: 'oom'; readonly pid: number }
  /** A program watches (inotify) the share of this tag, or something in it. */
  | { readonly type: 'share-watched'; readonly share: string }
  | SyncedEvent;

/** Of a synced folder. All of it is the guest's word: paths and reasons may hold anything. */
export interface SyncedEvent {
  readonly type: 'synced';
  /** The tag. */
  readonly share: string;
  /**
   * `state`: how it is, said to whoever begins to listen. `filling`, `filled`: before the workload may start. `conflict`: both sides had changed,
   * and the guest's is at `path` now. `left`: `path` stays where it is. `full`: a disk is; `space`: it goes on. `ended`: with the machine, or, with
   * a `reason`, before.
   */
  readonly news: SyncedNews;
  /** From the folder; at most 4096 characters. */
  readonly path?: string;
  /** At most 200 characters. */
  readonly reason?: string;
  readonly state: SyncedState;
}

export type SyncedNews = 'state' | 'filling' | 'filled' | 'conflict' | 'left' | 'full' | 'space' | 'ended';

/** Numbers since the machine started. */
export interface SyncedState {
  readonly filled: boolean;
  /** Paths that are known. */
  readonly files: number;
  /** Paths that are not equal yet, or were not looked at. */
  readonly waiting: number;
  readonly conflicts: number;
  readonly left: number;
  /** Whose disk is. */
  readonly full?: 'host' | 'guest';
}

export interface PowerOffOptions {
  readonly stopSignal: number;
  readonly graceMs: number;
  /** How long synced folders may take for what the host does not have yet; what is left stays on the guest's disk for the next start. */
  readonly flushMs?: number;
}

/** What was edited in a share outside of the machine. Paths from the share, in UTF-8; all of it together at most 16 KB. */
export interface ShareEdits {
  /** The tag. */
  readonly share: string;
  readonly written: readonly string[];
  /** New, or something else under the same name. */
  readonly appeared: readonly string[];
  readonly gone: readonly string[];
  /** Folders in which anything may have changed. */
  readonly folders: readonly string[];
}

/**
 * A connection to one guest's agent. All calls take an AbortSignal and have their own deadline; a refused request throws
 * GUEST_REFUSED with the agent's text, a broken channel rejects every call.
 */
export interface GuestClient extends AsyncDisposable {
  readonly info: GuestInfo;
  /** Resolves (never rejects) when the channel has closed. */
  readonly closed: Promise<void>;
  prepare(config: MachineConfig, signal?: AbortSignal): Promise<void>;
  /**
   * Before `prepare`: mounts the root and a fresh writable layer, given their disks' serials, and syncs them. For a
   * machine that becomes a template: its clones have the same disks and only do the rest.
   */
  mountRoot(root: { readonly disk: string; readonly upper: string }, signal?: AbortSignal): Promise<void>;
  /**
   * After `prepare` and the programs it ran: returns the machine to its initial state, with the root from `mountRoot`.
   * For a machine that rehearses a start before it is copied.
   */
  forget(signal?: AbortSignal): Promise<void>;
  /** Starts the workload, of which there is one. After a reconnect `attachWorkload` returns it again, with unacknowledged output first. */
  startWorkload(spec: ProcessSpec, signal?: AbortSignal): Promise<GuestProcess>;
  attachWorkload(signal?: AbortSignal): Promise<GuestProcess>;
  /** exec: another program beside the workload. */
  spawn(spec: ProcessSpec, signal?: AbortSignal): Promise<GuestProcess>;
  setNames(names: NameTable, signal?: AbortSignal): Promise<void>;
  /**
   * Gives addresses and routes to NICs that are being plugged in, for which it waits; one that is there gets the default route if it has a
   * gateway. The resolver is told whom to ask from now on. Throws GUEST_REFUSED.
   */
  addNics(nics: readonly NicConfig[], resolver: Pick<ResolverConfig, 'search' | 'upstreams'>, signal?: AbortSignal): Promise<void>;
  setClock(now: number, signal?: AbortSignal): Promise<void>;
  writeFiles(files: readonly FileSpec[], signal?: AbortSignal): Promise<void>;
  /** Unpacks a tar stream below `target`; paths cannot leave it. */
  writeTar(target: string, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>;
  /** A tar stream of `path`; symlinks are not followed unless requested. */
  readTar(path: string, options?: { followLinks?: boolean }, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * Build machines. `readLayer` streams the content of the current upper as an OCI layer tar (whiteouts as `.wh.`, no
   * `trusted.overlay.*`, hardlinks and xattrs kept, names sorted). `pushLayer` freezes the upper as a lower and starts a
   * new one on the same disk, so that the next step's changes are a layer of their own; with `tar`, that layer's content
   * comes from the host first (a COPY between two RUNs).
   */
  readLayer(signal?: AbortSignal): AsyncIterable<Uint8Array>;
  pushLayer(tar?: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>;
  /** Of the layers that `pushLayer` froze only the first `keep` stay; everything above, the upper included, is gone. */
  dropLayers(keep: number, signal?: AbortSignal): Promise<void>;
  /** Unpacks a tar as a folder that `StepMount`s can refer to; it stays for the machine's lifetime. */
  stageFolder(name: string, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>;
  /** After a program with mounts: removes their mount points and waits until `disks` can be unplugged. */
  releaseStep(disks: readonly string[], signal?: AbortSignal): Promise<void>;
  /** Listens in the guest and passes each connection to `accept` until it is closed. Resolves when programs can connect. */
  relay(place: RelayPlace, accept: (connection: Duplex) => void, signal?: AbortSignal): Promise<{ close(): Promise<void> }>;
  /**
   * A connection to a port of the guest's loopback, half-closed as TCP is. That nobody listens shows in its end. Throws
   * GUEST_REFUSED when too many are open.
   */
  dial(port: number, signal?: AbortSignal): Promise<Duplex>;
  /**
   * Has this guest answer for its volume on the disk with this serial, as a machine that `borrow`s it asks; with `readOnly` that
   * one can change nothing, whatever it asks.
   */
  lend(disk: string, options: { readonly readOnly: boolean }): VolumeStream;
  /** Before `prepare`: mounts a volume of another machine as the share `tag`. Throws GUEST_REFUSED. */
  borrow(tag: string, signal?: AbortSignal): Promise<VolumeStream>;
  /**
   * The guest of a further service in this machine: root, mounts and workload are its own, network, names and clock are this machine's. It is
   * started unless it runs; its channel ends with this one and can be opened again. `name`: 3–16 lower-case letters and digits. Throws
   * GUEST_REFUSED (before `prepare`, or no room), HYPR_TIMEOUT.
   */
  openMember(name: string, options: MemberOptions): Promise<GuestClient>;
  /** Ends that guest with all its programs, at once. */
  endMember(name: string, signal?: AbortSignal): Promise<void>;
  stats(signal?: AbortSignal): Promise<GuestStats>;
  /** Tells the programs that watch a share what was edited, and has the kernel ask for it anew. Throws GUEST_REFUSED. */
  tellEdits(edits: ShareEdits, signal?: AbortSignal): Promise<void>;
  /**
   * Waits until synced folders are equal with the host's, however long that takes; after `prepare` that is their filling, before which no
   * workload starts. Throws GUEST_REFUSED where a disk is full, or a folder is not kept equal any more.
   */
  settle(signal?: AbortSignal): Promise<void>;
  events(): AsyncIterable<GuestEvent>;
  /** Stops the workload (stopSignal, then SIGKILL after graceMs), syncs, unmounts, powers off. Closes the channel. */
  powerOff(options: PowerOffOptions, signal?: AbortSignal): Promise<ProcessExit | undefined>;
  /** sync(2) in the guest. */
  sync(signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** The reason of a HYPR_TIMEOUT when the guest said nothing to the start of a program: that it ran is unlikely, not impossible. */
export const SILENT_START = 'silent start';
