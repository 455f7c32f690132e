import type { GuestClient, ProcessSpec } from '../../guest/types.ts';

/** The part of an OCI image config that decides how a workload runs (image-spec config.md). */
export interface ImageRuntime {
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[] | null;
  readonly Cmd: readonly string[] | null;
  readonly WorkingDir: string;
  readonly User: string;
  readonly ExposedPorts: Readonly<Record<string, object>>;
  readonly Volumes: Readonly<Record<string, object>>;
  readonly Labels: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
  /** Nanoseconds, as docker writes it. */
  readonly Healthcheck?: {
    readonly Test?: readonly string[];
    readonly Interval?: number;
    readonly Timeout?: number;
    readonly StartPeriod?: number;
    readonly StartInterval?: number;
    readonly Retries?: number;
  };
  readonly Shell?: readonly string[];
  readonly OnBuild?: readonly string[];
}

export interface Image {
  /** `sha256:…` of the config: the image id docker shows. */
  readonly id: string;
  /** Digest of the manifest it was pulled by or written with. */
  readonly manifestDigest: string;
  /** Full references that name it, e.g. docker.io/library/nginx:1.26. */
  readonly references: readonly string[];
  readonly platform: string;
  /** Milliseconds since the epoch. */
  readonly created: number;
  /** Bytes of its layers, uncompressed. */
  readonly size: number;
  readonly config: ImageRuntime;
  /** diff ids, bottom first. */
  readonly layers: readonly string[];
  /** What its maker wrote about it; known where it is inspected. */
  readonly author?: string;
  readonly comment?: string;
  /** The image that it was committed from. */
  readonly parent?: string;
}

/** What the engine attaches as the machine's root: one read-only disk. */
export interface RootDisk {
  readonly path: string;
  readonly format: 'raw' | 'vmdk';
}

/**
 * Machines for RUN steps, given to the builder by the engine's wiring: boots a guest on `root` with a
 * writable disk, an own network (or none), prepared and waiting for `spawn`. Closing it leaves nothing.
 */
export interface BuildMachines {
  start(options: BuildMachineOptions, signal: AbortSignal): Promise<BuildMachine>;
}

export interface BuildMachineOptions {
  readonly name: string;
  readonly root: RootDisk;
  /** `proxy`: no network, but an HTTP proxy on this port of the machine's loopback that lets through what `proxy` allows. */
  readonly network: 'default' | 'none' | 'proxy';
  readonly proxy?: ProxyOptions;
  readonly vcpus?: number;
  readonly memoryMib?: number;
  readonly diskMib?: number;
  readonly hosts: ReadonlyArray<{ readonly address: string; readonly names: readonly string[] }>;
  readonly shmSize?: number;
}

/** Port of the loopback of a machine with `network: 'proxy'`. */
export const BUILD_PROXY_PORT = 3128;

export interface ProxyOptions {
  /** Hosts (`registry.npmjs.org`, `.debian.org` with everything below it, `host:port`) beside the usual package registries. */
  readonly allow: readonly string[];
  /** Told once for each host that is refused. */
  readonly onRefused: (host: string) => void;
}

/** A disk for a machine that runs; `serial` is how its guest finds it. */
export interface BuildDisk {
  readonly serial: string;
  readonly path: string;
  readonly format: 'raw' | 'vmdk';
  readonly readOnly: boolean;
}

export interface BuildMachine extends AsyncDisposable {
  readonly guest: GuestClient;
  /** What it really has, for the error that says it was too little. */
  readonly limits: { readonly memoryMib: number; readonly diskMib: number };
  /** An ext4 disk for a cache; one that is there stays. */
  makeDisk(path: string, signal: AbortSignal): Promise<void>;
  /** Throws VMM_START when no port is free. The guest must have let go of a disk before it is unplugged. */
  plugDisk(disk: BuildDisk, signal: AbortSignal): Promise<{ unplug(signal: AbortSignal): Promise<void> }>;
  /** What can be seen of it when its guest does not answer or is lost, for the log. Takes seconds, never rejects. */
  look(): Promise<object>;
  close(): Promise<void>;
}

/** What a build says while it runs, in BuildKit's vocabulary: vertices `#1 [web 2/4] RUN …` and their logs. */
export type BuildEvent =
  | {
      readonly type: 'vertex';
      /** The number after `#`, in order of first appearance. */
      readonly id: number;
      readonly name: string;
      readonly state: 'started' | 'done' | 'cached' | 'error' | 'canceled';
      readonly time: number;
      /** Milliseconds, when it ended. */
      readonly duration?: number;
      readonly error?: string;
    }
  | { readonly type: 'log'; readonly id: number; readonly stream: 'stdout' | 'stderr'; readonly text: string; readonly time: number }
  | {
      readonly type: 'status';
      readonly id: number;
      readonly text: string;
      readonly current?: number;
      readonly total?: number;
      readonly time: number;
    }
  | { readonly type: 'warning'; readonly message: string; readonly file?: string; readonly line?: number };

export interface BuildRequest {
  /** Absolute path of the context folder; or a git address, the URL of a tar or a Dockerfile, or `-`: what `stdin` gives. */
  readonly context: string;
  /** With `context: '-'`: a tar, or a Dockerfile. */
  readonly stdin?: AsyncIterable<Uint8Array | string>;
  /** The context is what docker's classic client sends: its Dockerfile and .dockerignore are no files of it where the latter excludes them. */
  readonly classic?: true;
  /** Absolute path of the Dockerfile (in the context, when that is no folder), or its text (dockerfile_inline, `-f -`). */
  readonly dockerfile: { readonly path: string } | { readonly text: string; readonly name: string };
  readonly tags: readonly string[];
  readonly target?: string;
  /** null takes the value from the caller's environment, already resolved to undefined or a string by the caller. */
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly noCache: boolean;
  readonly pull: boolean;
  readonly network: 'default' | 'none' | 'proxy';
  /** With `network: 'proxy'`: hosts beside the usual package registries. */
  readonly proxyAllow?: readonly string[];
  readonly additionalContexts: Readonly<Record<string, string>>;
  /** What `service:NAME` means among them: images of the store, by NAME. */
  readonly serviceImages?: Readonly<Record<string, Image>>;
  readonly extraHosts: readonly string[];
  readonly platform?: string;
  readonly shmSize?: number;
  /** Secret id → file or value, for RUN --mount=type=secret. */
  readonly secrets: Readonly<Record<string, { readonly file: string } | { readonly value: string }>>;
  /** Asked for those that are not among them, where their names are not known before the build reads its Dockerfile. */
  readonly findSecret?: (id: string) => Promise<{ readonly file: string } | undefined>;
  /** Stages that are built anew although the cache has them; names or numbers. */
  readonly noCacheFilter?: readonly string[];
  /** `--output` in buildx's words (`type=local,dest=out`); none: the image goes into the store. */
  readonly outputs?: readonly string[];
  /** `--cache-from` and `--cache-to` in buildx's words. */
  readonly cacheFrom?: readonly string[];
  readonly cacheTo?: readonly string[];
  /** `--annotation`: `[manifest:|index:|manifest-descriptor:|index-descriptor:]key=value`. */
  readonly annotations?: readonly string[];
  /** `--provenance`: `false`, or the attributes of an attestation: `true`, `mode=min`. */
  readonly provenance?: string;
  /** What relative paths of outputs, caches and layouts start from. Default: the working folder. */
  readonly folder?: string;
  /** Where `dest=-` goes. */
  readonly stdout?: NodeJS.WritableStream;
  /** SSH id → agent or keys, for RUN --mount=type=ssh. */
  readonly ssh?: Readonly<Record<string, SshForward>>;
  /** What a RUN may use; none of it is in a cache key. */
  readonly limits?: BuildLimits;
}

/** An agent's socket on this host, or files of private keys without a passphrase. */
export type SshForward = { readonly socket: string } | { readonly keys: readonly string[] };

export interface BuildLimits {
  readonly memoryMib?: number;
  readonly cpus?: number;
  readonly diskMib?: number;
  /** Milliseconds for each RUN. */
  readonly stepTimeout?: number;
  /** setrlimit names without RLIMIT_; -1 is infinity. */
  readonly ulimits?: Readonly<Record<string, { readonly soft: number; readonly hard: number }>>;
}

/** A RUN that failed, its machine still there: what a shell at that point needs. */
export interface FailedStep {
  readonly guest: GuestClient;
  /** The step's environment, folder, user and mounts; `args` is its command. */
  readonly process: ProcessSpec;
  /** The program and flags of SHELL without the one that takes a command, e.g. `/bin/bash -e`. */
  readonly shell: readonly string[];
  readonly error: Error;
}

export interface BuildResult {
  /** Empty when no output is an image. */
  readonly imageId: string;
  readonly manifestDigest: string;
  /** What `--metadata-file` holds, under buildx's keys. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}
