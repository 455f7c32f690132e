import type { ProgressSink } from '../../base/progress.ts';
import type { BuildCheck, BuildOutline, BuildTargets } from '../../builder/build.ts';
import type { Images } from '../../builder/images.ts';
import type { BuildEvent, BuildRequest, BuildResult, FailedStep } from '../../builder/model/types.ts';
import type { Credentials } from '../../builder/registry/config/types.ts';
import type { LoginResult } from '../../builder/registry/login.ts';
import type { Project } from '../../compose/model/model.ts';
import type { DoctorCheck } from '../../vmm/host/doctor-check.ts';
import type { FetchFileOptions, PublishRequest } from './artifact.ts';
import type {
  AttachOptions,
  BuildProjectOptions,
  CopyPlace,
  DownOptions,
  ExecOptions,
  LogsOptions,
  PackOptions,
  PruneOptions,
  PullProjectOptions,
  PushProjectOptions,
  RunOptions,
  ServeDockerOptions,
  ServiceVerb,
  UnpackOptions,
  UpOptions,
  VerbOptions,
  WatchOptions,
} from './command-options.ts';
import type { BestUrl, EdgeInfo, UrlRequest } from './edge.ts';
import type { EngineEvent, LogRecord, ReplicaStatus, ReplicaUsage } from './events.ts';
import type { ObjectApi, UsageDetails } from './object-types.ts';
import type { NameReport } from './published-names.ts';
import type { TrustApi } from './trust.ts';

export type { BuildCheck, BuildOutline, BuildTargets } from '../../builder/build.ts';
export type { BuildEvent, BuildLimits, BuildRequest, BuildResult, FailedStep, Image, SshForward } from '../../builder/model/types.ts';
export type { DoctorCheck } from '../../vmm/host/doctor-check.ts';
export type * from './command-options.ts';
export type * from './object-types.ts';
export type { NameReport } from './published-names.ts';
export type * from './trust.ts';

/** A running exec: bytes in and out, exit code at the end. */
export interface ExecSession {
  readonly output: AsyncIterable<{ readonly stream: 'stdout' | 'stderr'; readonly data: Uint8Array }>;
  readonly exitCode: Promise<number>;
  /** Resolves when the data is on its way. */
  write(data: Uint8Array): Promise<void>;
  closeStdin(): void;
  resize(size: { columns: number; rows: number }): void;
  signal(signal: number): void;
  close(): void;
}

/** A one-off that has been created. It starts when its output is first read. */
export interface RunSession extends ExecSession {
  readonly id: string;
  readonly name: string;
  /** Whether a detached one was started, as soon as that is known; never rejects. Of what is not detached it may be told at the end only. */
  readonly started: Promise<boolean>;
}

export interface AttachSession extends ExecSession {
  readonly replica: string;
  /** Whether the workload has a terminal, and whether it takes input. */
  readonly tty: boolean;
  readonly stdin: boolean;
}

/** A named volume. */
export interface VolumeSummary {
  readonly name: string;
  /** Where it is on this host: an ext4 disk or a folder. */
  readonly path: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Services of the stack with a replica that mounts it. */
  readonly services: readonly string[];
}

/**
 * One stack as commands see it, implemented over the supervisor's socket (engine/client/stack-client.ts). `up`,
 * `create`, `start` and `restart` start a supervisor; one is started again when machines run without it. Progress and
 * warnings of an operation go to `onEvent`; its promise settles when the operation has ended.
 */
export interface Stack extends AsyncDisposable {
  readonly name: string;
  up(project: Project, options: UpOptions, onEvent: (event: EngineEvent) => void, signal?: AbortSignal): Promise<void>;
  down(project: Project | undefined, options: DownOptions, onEvent: (event: EngineEvent) => void, signal?: AbortSignal): Promise<void>;
  verb(
    verb: ServiceVerb,
    project: Project | undefined,
    options: VerbOptions,
    onEvent: (event: EngineEvent) => void,
    signal?: AbortSignal,
  ): Promise<void>;
  /** The plan that `up` would execute, as `up --dry-run` prints it. Starts nothing. */
  plan(project: Project, options: UpOptions): Promise<string>;
  ps(): Promise<ReplicaStatus[]>;
  /** The named volumes that the stack created, sorted by name. */
  volumes(): Promise<VolumeSummary[]>;
  /** Names of replicas that have a log, also of those that are gone: `logs` takes them beside services. */
  logNames(): Promise<string[]>;
  logs(options: LogsOptions, signal?: AbortSignal): AsyncIterable<LogRecord>;
  exec(options: ExecOptions, signal?: AbortSignal): Promise<ExecSession>;
  /**
   * Starts what a one-off depends on and runs it. The session carries the program's output and exit code; a detached one
   * is only started. If the program cannot be started, the session ends with 126 or 127 after an `error` event.
   */
  run(project: Project, options: RunOptions, onEvent: (event: EngineEvent) => void, signal?: AbortSignal): Promise<RunSession>;
  /** Attaches to the workload of a running replica. Closing the session leaves it running. */
  attach(options: AttachOptions, signal?: AbortSignal): Promise<AttachSession>;
  /** Unpacks a tar into a folder of a replica; owners and modes are the tar's. */
  copyTo(place: CopyPlace, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>;
  /** Packs a path of a replica as a tar; entries start with the path's last component. */
  copyFrom(place: CopyPlace, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** Events from now on, preceded by one `replica` event (action update) for each existing replica. */
  events(
    options: { logs: boolean; usage: boolean /** Start a supervisor when there is none, because an `up` follows. */; start?: boolean },
    signal?: AbortSignal,
  ): AsyncIterable<EngineEvent>;
  stats(): Promise<ReplicaUsage[]>;
  /** Resolves with the exit code once the first (or every) named service has ended. */
  wait(services: readonly string[], signal?: AbortSignal): Promise<number>;
  close(): Promise<void>;
}

export interface StackSummary {
  readonly name: string;
  /** e.g. `exited(1), running(2)` */
  readonly status: string;
  readonly configFiles: readonly string[];
  /** How its model was read: the folder that relative paths start from, env files and profiles that were named. */
  readonly workingDir: string;
  readonly envFiles: readonly string[];
  readonly profiles: readonly string[];
}

/** Images and builds: need no supervisor, run in the calling process. */
export interface ImageApi extends Omit<Images, 'store' | 'withPushTarget' | 'withRepository' | 'resolveDigest'> {
  build(
    request: BuildRequest,
    onEvent: (event: BuildEvent) => void,
    signal?: AbortSignal,
    options?: { readonly onFailedStep?: (step: FailedStep) => Promise<void> },
  ): Promise<BuildResult>;
  /** `build --check`: lints a Dockerfile. Runs and pulls nothing. */
  check(request: BuildRequest, signal?: AbortSignal): Promise<BuildCheck>;
  /** `build --call=outline` and `--call=targets`: what a Dockerfile offers. Runs and pulls nothing. */
  outline(request: BuildRequest, signal?: AbortSignal): Promise<BuildOutline>;
  targets(request: BuildRequest, signal?: AbortSignal): Promise<BuildTargets>;
}

/** One row of `system df`; sizes are bytes on disk. */
export interface UsageRow {
  readonly type: 'Images' | 'Containers' | 'Local Volumes' | 'Build Cache' | 'Templates';
  readonly total: number;
  readonly active: number;
  readonly size: number;
  readonly reclaimable: number;
}

export interface PruneResult {
  /** In docker's format: `untagged: …`, `deleted: sha256:…`. */
  readonly images: readonly string[];
  readonly volumes: readonly string[];
  readonly bytes: number;
}

/** The steps that `setup` reports, in the order in which they may end. */
export const SETUP_STEPS = [
  'Package index',
  'QEMU and disk tools',
  'Guest kernel',
  'gvproxy',
  'Guest agent',
  'Initramfs',
  'Accelerator',
  'Template machine',
  'Template machine for builds',
] as const;

/** The steps that `bundle` reports. */
export const BUNDLE_STEPS = ['QEMU and disk tools', 'Guest kernel', 'Bundle'] as const;

/** What goes with the home: names of all stacks, running or not, and of all volumes, also of those that no stack has. */
export interface HomeContent {
  readonly stacks: readonly string[];
  readonly volumes: readonly string[];
}

export interface HomeRepair {
  /** Made again, one line each. */
  readonly repaired: readonly string[];
  /** Gone: images to be pulled or built again, records of stacks that `up` makes again. */
  readonly lost: readonly string[];
  /** Where the damaged database is now. */
  readonly kept: string | undefined;
}

export interface RemovedHome {
  readonly home: string;
  /** What is still in it, because it is not hypr's. */
  readonly left: readonly string[];
  /** The folder of the package. */
  readonly program: string;
  readonly isProgramRemoved: boolean;
}

export interface SetupResult {
  /** Changes with any part of the toolchain. */
  readonly toolchain: string;
  readonly accelerator: string;
}

/** A PCI card of this host, and whether a machine of this user can have it. */
export interface CardSummary {
  readonly address: string;
  readonly group: string | undefined;
  /** GPU, NVMe, network … */
  readonly kind: string;
  /** Vendor and device: 10de:2204. */
  readonly id: string;
  readonly driver: string | undefined;
  readonly gpu: boolean;
  /** `bind`: hypr takes it from its driver while a machine has it. */
  readonly use: 'ready' | 'bind' | 'no';
  /** Why not; otherwise empty. */
  readonly reason: string;
  /** Commands that change that. */
  readonly fix: readonly string[];
}

/** What `engine/index.ts` gives the CLI. Imported lazily, so that `hypr --version` and `config` load none of it. */
export interface EngineApi {
  /** For commands that only read, `onNotice` is called with what was repaired after a crash. */
  openStack(options: { name: string; onNotice?: (message: string) => void }): Promise<Stack>;
  listStacks(options: { all: boolean }): Promise<StackSummary[]>;
  openImages(): Promise<ImageApi>;
  /** Volumes, networks and replicas of all stacks. */
  openObjects(): Promise<ObjectApi>;
  /** The current digest (`sha256:…`) of a reference at its registry; pulls nothing. */
  resolveDigest(reference: string, signal: AbortSignal): Promise<string>;
  /** Builds (or pulls) the images of a project's services without changing the stack. */
  buildProject(
    project: Project,
    options: BuildProjectOptions,
    onEvent: (service: string, event: BuildEvent) => void,
    signal?: AbortSignal,
  ): Promise<Record<string, BuildResult>>;
  /** Pushes the tags of services that have `build:` and `image:`, and their `build.tags`. */
  pushProject(project: Project, options: PushProjectOptions, onProgress: ProgressSink, signal?: AbortSignal): Promise<void>;
  /** Pushes the files of a project as one artifact; returns its digest. See engine/artifacts/push-artifact.ts. */
  pushArtifact(request: PublishRequest, signal: AbortSignal): Promise<string>;
  /** The local copy of a Compose file in a registry or a git repository; see engine/artifacts/fetch-compose-file.ts. */
  fetchComposeFile(reference: string, options: FetchFileOptions): Promise<string>;
  /** Registry logins, shared with docker. */
  registryLogins(): Promise<RegistryLogins>;
  pullProject(project: Project, options: PullProjectOptions, onProgress: ProgressSink, signal?: AbortSignal): Promise<void>;
  /** Packs a file or folder of this host as a tar, for `Stack.copyTo`. */
  packFiles(path: string, options: PackOptions): AsyncIterable<Uint8Array>;
  /** Unpacks what `Stack.copyFrom` returns, never outside the place. Returns how many entries (devices) were left out. */
  unpackFiles(tar: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<number>;
  /** Runs `develop.watch` until the signal aborts. Throws COMPOSE_INVALID when there is nothing to watch. */
  watch(stack: Stack, project: Project, options: WatchOptions, signal: AbortSignal): Promise<void>;
  /** The type of what `Stack.copyFrom` would return; undefined when the path does not exist. */
  statTar(tar: AsyncIterable<Uint8Array>): Promise<'dir' | 'file' | undefined>;
  /** The best URL of a service that works now. Throws NAME_UNKNOWN, NAME_NOT_READY, NAME_UNREACHABLE or EDGE_UPSTREAM with the reason when none does. */
  findUrl(request: UrlRequest, signal: AbortSignal): Promise<BestUrl>;
  /** Service → the best URL of its name, not tried; empty where names are not served. */
  listUrls(stack: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>>;
  /** What serves names now; undefined when nothing does. */
  edgeStatus(signal: AbortSignal): Promise<EdgeInfo | undefined>;
  /** Takes part in serving names until the signal aborts; `onHolding` is called when this process serves them. */
  serveNames(onHolding: (info: EdgeInfo) => void, signal: AbortSignal): Promise<void>;
  /** The names of all stacks of this user, and whether programs of this host find them. */
  listNames(signal: AbortSignal): Promise<NameReport>;
  /** Serves DNS alone in this process until the signal aborts. Throws NET_PORT_IN_USE when somebody does already. */
  serveDns(onListening: (port: number) => void, signal: AbortSignal): Promise<void>;
  /** Serves docker's Engine API until the signal aborts, or nobody has needed it for `idleMs`. See engine/docker/serve.ts. */
  serveDocker(options: ServeDockerOptions, signal: AbortSignal): Promise<void>;
  /** `from` is a bundle to take packages from. */
  setup(onProgress: ProgressSink, signal?: AbortSignal, options?: { readonly from?: string }): Promise<SetupResult>;
  /** Whether `setup` has run for this version. */
  isSetUp(): Promise<boolean>;
  /** What is in hypr's home. Throws HYPR_USAGE when the folder is no such home; nothing is made there then. */
  homeContent(): Promise<HomeContent>;
  /** Removes hypr's home, its sockets, and the program where the install script put it. Throws STACK_BUSY while machines run. */
  removeHome(): Promise<RemovedHome>;
  /** Writes what `setup` fetches into one file, for hosts without a network. */
  bundle(file: string, onProgress: ProgressSink, signal: AbortSignal): Promise<void>;
  doctor(signal?: AbortSignal): Promise<DoctorCheck[]>;
  openTrust(signal: AbortSignal): Promise<TrustApi>;
  systemDf(): Promise<UsageRow[]>;
  /** `system df -v`: each thing by itself. */
  systemUsage(): Promise<UsageDetails>;
  /** Removes what nothing uses; never anything a stack has, running or stopped. Throws IMAGE_IN_USE during a pull or build. */
  prune(options: PruneOptions): Promise<PruneResult>;
  /**
   * Verifies the database and the whole image store; returns one line per fault. `onLeftover` is called with what killed
   * processes left behind.
   */
  /** The PCI cards of this host. */
  listCards(): Promise<CardSummary[]>;
  checkHome(signal?: AbortSignal, onLeftover?: (line: string) => void): Promise<string[]>;
  /** Mends what `checkHome` finds. Throws STACK_BUSY, IMAGE_IN_USE. */
  repairHome(signal?: AbortSignal): Promise<HomeRepair>;
}

/** `server` is docker's argument: a host or URL, undefined for Docker Hub. See builder/registry/login.ts. */
export interface RegistryLogins {
  /** The name docker stores and prints: `https://index.docker.io/v1/`, `localhost:5000`. Throws HYPR_USAGE. */
  nameOf(server: string | undefined): string;
  /** Verifies the credentials and stores them. Throws REGISTRY_AUTH, REGISTRY_UNREACHABLE. */
  login(server: string | undefined, credentials: Credentials, signal: AbortSignal): Promise<LoginResult>;
  /** Verifies them and stores nothing; gives the identity token that was issued, if any. Throws as `login`. */
  verify(server: string | undefined, credentials: Credentials, signal: AbortSignal): Promise<string | undefined>;
  /** Returns false when there was no login. */
  logout(server: string | undefined): Promise<boolean>;
  /** Credentials stored by an earlier login. */
  find(server: string | undefined): Promise<Credentials | undefined>;
}
