import type { BuildRequest } from '../../builder/model/types.ts';
import type { MountConfig, PortConfig } from '../../compose/model/model.ts';
import type { EngineEvent } from './events.ts';

/** Options of `up` and `create`; names follow docker compose's flags. */
export interface UpOptions {
  /** Services named on the command line; empty: all enabled ones. */
  readonly services: readonly string[];
  readonly build: boolean;
  readonly noBuild: boolean;
  readonly pull: 'always' | 'missing' | 'never' | 'policy';
  readonly forceRecreate: boolean;
  readonly noRecreate: boolean;
  readonly alwaysRecreateDeps: boolean;
  readonly renewAnonVolumes: boolean;
  readonly noDeps: boolean;
  /** Create without starting (`up --no-start`, `create`). */
  readonly noStart: boolean;
  readonly removeOrphans: boolean;
  readonly scale: Readonly<Record<string, number>>;
  /** Seconds of grace for replicas that are replaced; undefined: each service's own. */
  readonly timeout: number | undefined;
  /** Return only when everything is running or healthy (one-shot services: done). */
  readonly wait: boolean;
  readonly waitTimeout: number | undefined;
  /** At most this many pulls and builds at a time; less than one: no limit. */
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
 * A replica that runs once, beside those of its service (`run`): what differs from the service. Undefined
 * and empty members leave the service as it is.
 */
export interface RunOptions {
  readonly service: string;
  /** Name of the replica; undefined: made up. */
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
  /** `replica`: gone when it has ended; `stack`: and with it its stack, if nothing else is in it. */
  readonly remove: 'no' | 'replica' | 'stack';
  /** Counts as a replica of its service, for stacks that are made for it (`hypr run IMAGE`). */
  readonly ordinary: boolean;
  readonly noDeps: boolean;
  readonly build: boolean;
  readonly pull: UpOptions['pull'];
  readonly removeOrphans: boolean;
}

export interface AttachOptions {
  readonly service: string;
  readonly index: number | undefined;
}

/** A path in a replica. */
export interface CopyPlace {
  readonly service: string;
  /** Undefined: the lowest number that runs. */
  readonly index: number | undefined;
  readonly path: string;
  /** Reading: a link is what it points to. */
  readonly followLinks?: boolean;
}

export interface PackOptions {
  /** What the path is called in the tar; `.`: its contents only. */
  readonly name: string;
  /** Else everything is root's. */
  readonly keepOwner: boolean;
  /** The path itself, if it is a link, is what it points to. */
  readonly followLinks: boolean;
  /** What is left out, with all that is below it. */
  readonly leaveOut?: (path: string) => boolean;
}

export interface WatchOptions {
  /** Empty: all that have `develop.watch`. */
  readonly services: readonly string[];
  /** How a service is brought up again when it is rebuilt. */
  readonly up: UpOptions;
  readonly onNotice: (text: string) => void;
  readonly onEvent: (event: EngineEvent) => void;
}

/** A folder that exists, and what the first entry of a tar is called in it (`.`: the folder itself). */
export interface UnpackPlace {
  readonly root: string;
  readonly name: string;
}

export interface UnpackOptions {
  readonly keepOwner: boolean;
  /** Asked once, when it is known what the tar holds. */
  readonly place: (kind: 'dir' | 'file') => Promise<UnpackPlace>;
}

/** What a command does to services that exist already. */
export type ServiceVerb = 'start' | 'stop' | 'restart' | 'kill' | 'pause' | 'unpause' | 'suspend' | 'resume' | 'rm';

export interface VerbOptions {
  readonly services: readonly string[];
  readonly timeout: number | undefined;
  /** kill: signal name or number. */
  readonly signal: string | undefined;
  readonly noDeps: boolean;
  /** rm: also stop; and anonymous volumes. */
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
  /** Images of services that name one go to their registries afterwards. */
  readonly push?: boolean;
  /** Attested of what is pushed, instead of the file's `build.provenance`. */
  readonly provenance?: string;
  /** At most this many builds at a time; less than one: no limit. */
  readonly parallel?: number | undefined;
}

export interface PullProjectOptions {
  readonly services: readonly string[];
  readonly includeDeps: boolean;
  readonly policy: 'missing' | 'always';
  readonly ignoreFailures: boolean;
  readonly ignoreBuildable: boolean;
  /** At most this many at a time; less than one: no limit. */
  readonly parallel?: number | undefined;
}

export interface PushProjectOptions {
  readonly services: readonly string[];
  readonly includeDeps: boolean;
  readonly ignoreFailures: boolean;
}

export interface PruneOptions {
  /** `dangling`: those without a name; `all`: those that no replica has. */
  readonly images: 'none' | 'dangling' | 'all';
  /** Milliseconds: what builds have kept for longer; 0 is everything, undefined nothing. */
  readonly buildsOlderThan: number | undefined;
  /** Anonymous volumes of stacks that are gone. */
  readonly volumes: boolean;
  /** Earlier versions of the programs that machines run with; kept while there are machines. */
  readonly toolchain: boolean;
}
