import type { HomePaths } from '../../base/paths.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { BuildEvent, BuildRequest, Image, RootDisk } from '../../builder/model/types.ts';
import type { BuildConfig, FileObject } from '../../compose/model/model.ts';
import type { GuestClient } from '../../guest/types.ts';
import type { AwaitPort } from '../../net/ports/publish.ts';
import type { Dial, Network, NetworkRecord, NetworkSpec, PublishedPort } from '../../net/types.ts';
import type { Vmm } from '../../vmm/model/machine.ts';

/** A published port that is being listened on. */
export interface Publication {
  readonly port: PublishedPort;
  close(): Promise<void>;
}

/**
 * Everything a supervisor needs from the floors below, in one place. Production wires it in engine/host.ts, tests pass
 * fakes. It holds only what touches the outside world.
 */
export interface Platform {
  readonly paths: HomePaths;
  /** Folder for the sockets of this stack. */
  readonly runDir: string;
  readonly vmm: Vmm;
  /** Cores that concurrent boots may use. */
  readonly cores: number;
  connectGuest(socket: string, options: { signal: AbortSignal; timeout: number }): Promise<GuestClient>;
  startNetwork(spec: NetworkSpec, signal: AbortSignal): Promise<Network>;
  adoptNetwork(record: NetworkRecord, signal: AbortSignal): Promise<Network | undefined>;
  sweepNetwork(record: NetworkRecord): Promise<void>;
  /** Throws NET_PORT_IN_USE naming the holder, before anything boots. */
  /** `path`: where the model asks for the port. */
  checkPorts(
    ports: ReadonlyArray<{ protocol: 'tcp' | 'udp'; hostAddress: string; hostPort: number; path?: readonly string[] }>,
  ): Promise<void>;
  publish(network: Dial & Pick<Network, 'dialUdp'>, port: PublishedPort, awaitPort?: AwaitPort): Promise<Publication>;
  findImage(name: string): Promise<Image | undefined>;
  /** Whether the image of this name was built from a Dockerfile with this text; undefined if what it was built from is not known. */
  isBuiltFrom(reference: string, dockerfile: string): Promise<boolean | undefined>;
  rootDisk(image: Image): Promise<RootDisk>;
  pullImage(
    reference: string,
    options: { policy: 'missing' | 'always'; platform: string | undefined },
    progress: ProgressSink,
    signal: AbortSignal,
  ): Promise<Image>;
  buildImage(input: BuildInput, onEvent: (event: BuildEvent) => void, signal: AbortSignal): Promise<string>;
  removeImage(name: string): Promise<void>;
  /** `durable`: until it outlives a power cut. */
  makeDisk(options: { path: string; sizeMib: number; label: string; durable?: true; signal: AbortSignal }): Promise<void>;
  /**
   * Makes a disk that no machine has in use ready to be attached read-only. Returns false for a disk that was never
   * mounted: its first machine must be able to fill it. Throws VMM_START when its journal cannot be replayed.
   */
  settleDisk(path: string, signal: AbortSignal): Promise<boolean>;
}

/** The part of it that makes and keeps images. */
export type ImagePlatform = Pick<Platform, 'findImage' | 'isBuiltFrom' | 'rootDisk' | 'pullImage' | 'buildImage' | 'removeImage'>;

export interface BuildInput {
  readonly config: BuildConfig;
  readonly tags: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly noCache: boolean;
  readonly pull: boolean;
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly platform: string | undefined;
  /** Also push the image to its registry. */
  readonly push?: boolean;
  /** Overrides the file's `provenance`. */
  readonly provenance?: string;
  /** Base folder of relative cache paths. */
  readonly folder?: string;
  /** The project's secrets; `build.secrets` refers to them by name. */
  readonly secrets?: Readonly<Record<string, FileObject>>;
  /** Images that the build reads as `service:NAME`, by service name. */
  readonly serviceImages?: Readonly<Record<string, Image>>;
  /** In addition to what the file says: `--ssh`, `--memory`. */
  readonly ssh?: NonNullable<BuildRequest['ssh']>;
  readonly limits?: NonNullable<BuildRequest['limits']>;
  /** Values for `args:` and secrets that have none of their own. */
  readonly environment: Readonly<Record<string, string>>;
}
