import type { GuestClient } from '../guest/types.ts';

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
  readonly network: 'default' | 'none';
  readonly vcpus?: number;
  readonly memoryMib?: number;
  readonly diskMib?: number;
  readonly hosts: ReadonlyArray<{ readonly address: string; readonly names: readonly string[] }>;
  readonly shmSize?: number;
  /** Empty memory file systems inside the root (`RUN --mount=type=tmpfs`); targets are absolute, sizes bytes. */
  readonly tmpfs?: ReadonlyArray<{ readonly target: string; readonly size?: number }>;
}

export interface BuildMachine extends AsyncDisposable {
  readonly guest: GuestClient;
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
  /** Absolute path of the context folder. */
  readonly context: string;
  /** Absolute path of the Dockerfile, or its text (dockerfile_inline, `-f -`). */
  readonly dockerfile: { readonly path: string } | { readonly text: string; readonly name: string };
  readonly tags: readonly string[];
  readonly target?: string;
  /** null takes the value from the caller's environment, already resolved to undefined or a string by the caller. */
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly noCache: boolean;
  readonly pull: boolean;
  readonly network: 'default' | 'none';
  readonly additionalContexts: Readonly<Record<string, string>>;
  readonly extraHosts: readonly string[];
  readonly platform?: string;
  readonly shmSize?: number;
  /** Secret id → file or value, for RUN --mount=type=secret. */
  readonly secrets: Readonly<Record<string, { readonly file: string } | { readonly value: string }>>;
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
  /** What relative paths of outputs and caches start from. Default: the working folder. */
  readonly folder?: string;
  /** Where `dest=-` goes. */
  readonly stdout?: NodeJS.WritableStream;
}

export interface BuildResult {
  /** Empty when no output is an image. */
  readonly imageId: string;
  readonly manifestDigest: string;
  /** What `--metadata-file` holds, under buildx's keys. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}
