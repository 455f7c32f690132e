import type { ProgressSink } from '../../base/progress.ts';
import type { BuildRequest } from '../../builder/model/types.ts';
import type { MountConfig, PortConfig } from '../../compose/model/model.ts';
import type { EngineEvent } from './events.ts';

/** Options of `up` and `create`; names follow docker compose's flags. */
export interface UpOptions {
  /** Services named on the command line; empty means all enabled services. */
  readonly services: readonly string[];
  readonly build: boolean;
  readonly noBuild: boolean;
  readonly pull: 'always' | 'missing' | 'never' | 'policy';
  readonly forceRecreate: boolean;
  readonly noRecreate: boolean;
  readonly alwaysRecreateDeps: boolean;
  readonly renewAnonVolumes: boolean;
  /** Volumes, by name, to make anew with the labels that the file has now: their data are lost. */
  readonly recreateVolumes?: readonly string[];
  readonly noDeps: boolean;
  /** Create without starting (`up --no-start`, `create`). */
  readonly noStart: boolean;
  readonly removeOrphans: boolean;
  /** Say nothing of orphans. */
  readonly ignoreOrphans: boolean;
  readonly scale: Readonly<Record<string, number>>;
  /** Grace period in seconds for replicas that are replaced; undefined: each service's own. */
  readonly timeout: number | undefined;
  /** Return only when everything is running or healthy (one-shot services: done). */
  readonly wait: boolean;
  readonly waitTimeout: number | undefined;
  /** Maximum number of concurrent pulls and builds; less than one: no limit. */
  readonly parallel?: number | undefined;
}

export interface DownOptions {
  readonly services: readonly string[];
  readonly volumes: boolean;
  readonly removeImages: 'none' | 'local' | 'all';
  readonly removeOrphans: boolean;
  readonly timeout: number | undefined;
}

export interface LogsOptions {
  readonly services: readonly string[];
  readonly follow: boolean;
  /** Lines per replica; undefined: all. */
  readonly tail: number | undefined;
  readonly since: number | undefined;
  readonly until: number | undefined;
  readonly index: number | undefined;
  /** Lines of replicas that were replaced as well, as long as there has been a stack. */
  readonly earlier?: boolean | undefined;
}

export interface ExecOptions {
  readonly service: string;
  readonly index: number | undefined;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly user: string | undefined;
  readonly workdir: string | undefined;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly detach: boolean;
  readonly privileged: boolean;
  readonly size: { readonly columns: number; readonly rows: number } | undefined;
}

/**
 * What `run` overrides for a replica that runs once, beside the replicas of its service. Undefined and empty members
 * keep the service's value.
 */
export interface RunOptions {
  readonly service: string;
  /** Name of the replica; generated when undefined. */
  readonly name: string | undefined;
  readonly args: readonly string[];
  readonly entrypoint: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly volumes: readonly MountConfig[];
  readonly ports: readonly PortConfig[];
  readonly servicePorts: boolean;
  readonly useAliases: boolean;
  readonly user: string | undefined;
  readonly workdir: string | undefined;
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly size: { readonly columns: number; readonly rows: number } | undefined;
  readonly detach: boolean;
  /** `replica`: remove the replica when it has ended; `stack`: remove its stack too, if nothing else is in it. */
  readonly remove: 'no' | 'replica' | 'stack';
  /** Counts as an ordinary replica of its service, for a stack created just for it (`hypr run IMAGE`). */
  readonly ordinary: boolean;
  readonly noDeps: boolean;
  readonly build: boolean;
  readonly pull: UpOptions['pull'];
  readonly removeOrphans: boolean;
  readonly ignoreOrphans: boolean;
}

export interface AttachOptions {
  readonly service: string;
  readonly index: number | undefined;
  /** Also one that does not run yet: its output comes from its start on. */
  readonly wait?: boolean;
  /** The terminal has it once this is attached; of one that runs. */
  readonly size?: { readonly columns: number; readonly rows: number };
}

/** A path in a replica. */
export interface CopyPlace {
  readonly service: string;
  /** Undefined: the running replica with the lowest number. */
  readonly index: number | undefined;
  readonly path: string;
  /** When reading, copy what a symlink points to. */
  readonly followLinks?: boolean;
  /** When reading: what differs from the image, as a layer of an image; `path` is `/`. */
  readonly layer?: boolean;
  /** When writing: until it outlives a power cut. */
  readonly durable?: boolean;
}

export interface PackOptions {
  /** Name of the path in the tar; `.` packs only its contents. */
  readonly name: string;
  /** Keep owners; otherwise everything belongs to root. */
  readonly keepOwner: boolean;
  /** If the path itself is a symlink, pack what it points to. */
  readonly followLinks: boolean;
  /** Paths to leave out, with everything below them. */
  readonly leaveOut?: (path: string) => boolean;
}

export interface WatchOptions {
  /** Empty: all services that have `develop.watch`. */
  readonly services: readonly string[];
  /** Options for recreating a service after a rebuild. */
  readonly up: UpOptions;
  readonly onNotice: (text: string) => void;
  /** What is for `--verbose` only. */
  readonly onDebug?: (text: string) => void;
  readonly onEvent: (event: EngineEvent) => void;
  /** What the programs of `sync+exec` print. */
  readonly onOutput?: (service: string, data: Uint8Array) => void;
  /** Carries out what rebuilds or restarts a service; default: until the watch ends. Half of it would leave the service stopped. */
  readonly act?: (name: string, work: (signal: AbortSignal) => Promise<void>) => Promise<void>;
}

/** The user's settings, which the command line knows. */
export interface SettingsApi {
  list(): ReadonlyArray<{ readonly name: string; readonly value: string; readonly standard: string; readonly text: string }>;
  /** All of them or none; null is the standard value. Throws HYPR_USAGE for what is no setting or no value of it, HYPR_FILE. */
  change(values: Readonly<Record<string, string | null>>): Promise<void>;
}

/** Of `hypr serve`. */
export interface ServeDockerOptions {
  /** Where to listen; undefined: `$XDG_RUNTIME_DIR/hypr/docker.sock`. */
  readonly socket: string | undefined;
  /** A descriptor of a socket that listens already. */
  readonly passed?: number | undefined;
  /** Ends after so many milliseconds in which nobody was connected and no program ran. */
  readonly idleMs: number | undefined;
  readonly onListening: (socket: string) => void;
  /** What the user should know: stacks whose supervisors are of another version. */
  readonly onNotice?: (message: string) => void;
  /** Ports of 127.0.0.1 for the JSON API and for metrics; undefined: none. */
  readonly rest?: number | undefined;
  readonly metrics?: number | undefined;
  /** And for gRPC. */
  readonly grpc?: number | undefined;
  /** What the JSON API shows and changes of the user's settings; without it it has none. */
  readonly settings?: SettingsApi;
  /** What is served there, and the file of the token that requests need. */
  readonly onPort?: (what: 'rest' | 'metrics' | 'grpc', url: string, tokenFile: string) => void;
}

/** An existing folder, and the name that the tar's first entry gets in it (`.`: the folder itself). */
export interface UnpackPlace {
  readonly root: string;
  readonly name: string;
}

export interface UnpackOptions {
  readonly keepOwner: boolean;
  /** Called once, when the type of the tar's first entry is known. */
  readonly place: (kind: 'dir' | 'file') => Promise<UnpackPlace>;
}

/** What a command does to existing services. */
export type ServiceVerb = 'start' | 'stop' | 'restart' | 'kill' | 'pause' | 'unpause' | 'suspend' | 'resume' | 'rm';

export interface VerbOptions {
  readonly services: readonly string[];
  /** start, stop, restart, kill, pause, unpause, rm: only the replicas of these names, one-offs too; empty: all of the services. */
  readonly replicas: readonly string[];
  readonly timeout: number | undefined;
  /** kill: signal name or number. */
  readonly signal: string | undefined;
  readonly noDeps: boolean;
  /** rm: stop running replicas first; remove anonymous volumes. */
  readonly stop: boolean;
  readonly volumes: boolean;
  readonly wait: boolean;
  readonly waitTimeout: number | undefined;
}

export interface BuildProjectOptions {
  readonly services: readonly string[];
  readonly withDependencies: boolean;
  readonly noCache: boolean;
  readonly pull: boolean;
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly ssh?: NonNullable<BuildRequest['ssh']>;
  readonly limits?: NonNullable<BuildRequest['limits']>;
  /** Afterwards push the images of services that set `image:`. */
  readonly push?: boolean;
  /** Provenance attested for pushed images, overriding the file's `build.provenance`. */
  readonly provenance?: string;
  /** Maximum number of concurrent builds; less than one: no limit. */
  readonly parallel?: number | undefined;
  /** Which image is being built, and built. */
  readonly onProgress?: ProgressSink;
}

export interface PullProjectOptions {
  readonly services: readonly string[];
  readonly includeDeps: boolean;
  /** Overrides the policies of the file. */
  readonly policy: 'missing' | 'always' | undefined;
  readonly ignoreFailures: boolean;
  readonly ignoreBuildable: boolean;
  /** Maximum number at a time; less than one: no limit. */
  readonly parallel?: number | undefined;
  /** What is to be known at the end, e.g. which images have to be built. */
  readonly onNotice?: (text: string) => void;
}

export interface PushProjectOptions {
  readonly services: readonly string[];
  readonly includeDeps: boolean;
  readonly ignoreFailures: boolean;
}

export interface PruneOptions {
  /** `dangling`: images without a name; `all`: images that no replica uses. */
  readonly images: 'none' | 'dangling' | 'all';
  /** Of those only the ones with these ids; undefined: all. */
  readonly imageIds?: readonly string[] | undefined;
  /** Remove build data older than this many milliseconds; 0 removes all of it, undefined none. */
  readonly buildsOlderThan: number | undefined;
  /** What a stack that no longer exists left of anonymous volumes. */
  readonly volumes: boolean;
  /** Earlier versions of the toolchain; kept while any machine exists. */
  readonly toolchain: boolean;
}
