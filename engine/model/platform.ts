import type { HomePaths } from '../../base/paths.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { BuildEvent, BuildRequest, Image, RootDisk } from '../../builder/model/types.ts';
import type { BuildConfig, FileObject } from '../../compose/model/model.ts';
import type { GuestClient } from '../../guest/types.ts';
import type { Network, NetworkRecord, NetworkSpec, PublishedPort } from '../../net/types.ts';
import type { Vmm } from '../../vmm/model/machine.ts';

/** A published port that is being listened on. */
export interface Publication {
  readonly port: PublishedPort;
  close(): Promise<void>;
}

/**
 * What a supervisor needs of the floors below, in one place: production wires it in
 * engine/host.ts, tests give fakes. Only things that touch the world are here.
 */
export interface Platform {
  readonly paths: HomePaths;
  /** Folder for the sockets of this stack. */
  readonly runDir: string;
  readonly vmm: Vmm;
  /** Cores that boots may use side by side. */
  readonly cores: number;
  connectGuest(socket: string, options: { signal: AbortSignal; timeout: number }): Promise<GuestClient>;
  startNetwork(spec: NetworkSpec, signal: AbortSignal): Promise<Network>;
  adoptNetwork(record: NetworkRecord, signal: AbortSignal): Promise<Network | undefined>;
  sweepNetwork(record: NetworkRecord): Promise<void>;
  /** Throws NET_PORT_IN_USE naming the holder, before anything boots. */
  checkPorts(ports: ReadonlyArray<{ protocol: 'tcp' | 'udp'; hostAddress: string; hostPort: number }>): Promise<void>;
  publish(network: Network, port: PublishedPort): Promise<Publication>;
  findImage(name: string): Promise<Image | undefined>;
  rootDisk(image: Image): Promise<RootDisk>;
  pullImage(
    reference: string,
    options: { policy: 'missing' | 'always'; platform: string | undefined },
    progress: ProgressSink,
    signal: AbortSignal,
  ): Promise<Image>;
  buildImage(input: BuildInput, onEvent: (event: BuildEvent) => void, signal: AbortSignal): Promise<string>;
  removeImage(name: string): Promise<void>;
  makeDisk(options: { path: string; sizeMib: number; label: string; signal: AbortSignal }): Promise<void>;
  /**
   * Makes a disk that no machine has ready to be attached for reading only. False for one that was never mounted: a first machine
   * has to be able to fill it. Throws VMM_START when its journal cannot be played.
   */
  settleDisk(path: string, signal: AbortSignal): Promise<boolean>;
}

/** Of it, what makes and keeps images. */
export type ImagePlatform = Pick<Platform, 'findImage' | 'rootDisk' | 'pullImage' | 'buildImage' | 'removeImage'>;

export interface BuildInput {
  readonly config: BuildConfig;
  readonly tags: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly noCache: boolean;
  readonly pull: boolean;
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly platform: string | undefined;
  /** The image goes to its registry, too. */
  readonly push?: boolean;
  /** Instead of the file's `provenance`. */
  readonly provenance?: string;
  /** What relative paths of caches start from. */
  readonly folder?: string;
  /** The project's secrets, of which `build.secrets` names some. */
  readonly secrets?: Readonly<Record<string, FileObject>>;
  /** Images that the build reads as `service:NAME`, by that name. */
  readonly serviceImages?: Readonly<Record<string, Image>>;
  /** Beside what the file says: `--ssh`, `--memory`. */
  readonly ssh?: NonNullable<BuildRequest['ssh']>;
  readonly limits?: NonNullable<BuildRequest['limits']>;
  /** For `args:` and secrets without a value. */
  readonly environment: Readonly<Record<string, string>>;
}
