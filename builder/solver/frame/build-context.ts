import { createHash } from 'node:crypto';
import type { ProgressSink } from '../../../base/progress.ts';
import type { FileTree } from '../../context/tree.ts';
import type { Dockerfile } from '../../dockerfile/instruction.ts';
import type { HostCertificates } from '../../model/host-certificates.ts';
import type { LayoutSource } from '../../model/layout-source.ts';
import type { BuildMachineOptions, BuildRequest, FailedStep, Image } from '../../model/types.ts';
import type { CacheTarget } from '../../options/parse-cache.ts';
import type { Output } from '../../options/parse-output.ts';
import type { Provenance } from '../../options/parse-provenance.ts';
import type { Repository } from '../../registry/client.ts';
import type { PushTarget } from '../../registry/push-target.ts';
import type { ZstdCommand } from '../../registry/transport/decompress.ts';
import type { Descriptor } from '../../store/format/manifest.ts';
import { indexTar, LayerTree } from '../layer/layer-tree.ts';
import type { BuildCache } from './cache.ts';
import type { Platform } from './platform.ts';
import type { BuildProgress } from './progress.ts';
import type { StageState } from './state.ts';
import type { BuildStore, ImageConfigBlob } from './store.ts';

/** An image whose layers the store has, with the key its file system has in the cache. */
export interface BaseImage {
  readonly image: Pick<Image, 'manifestDigest'>;
  readonly blob: ImageConfigBlob;
  readonly key: string;
}

export type FindLayout = (named: { readonly name: string; readonly source: LayoutSource }, platform: string) => Promise<BaseImage>;

export interface ServiceContext {
  /** The context's name, and the service's. */
  readonly name: string;
  readonly service: string;
  readonly image: Image;
}

export type FindServiceImage = (named: ServiceContext, platform: string) => Promise<BaseImage>;

/** What a build does with registries beyond pulling images. */
export interface BuildRegistry {
  /** Pushes an image of the store to its registry; returns its descriptor there. */
  push(reference: string, progress: ProgressSink, signal: AbortSignal): Promise<Descriptor>;
  withPushTarget<T>(reference: string, work: (target: PushTarget) => Promise<T>, signal?: AbortSignal): Promise<T>;
  withRepository<T>(reference: string, work: (repository: Repository) => Promise<T>, signal?: AbortSignal): Promise<T>;
}

/** A context's files, and for a folder why a path is ignored. */
export interface OpenedTree extends FileTree {
  isIgnored?(path: string): boolean;
}

/** Everything that the stages of one build share. */
export interface BuildContext {
  readonly request: BuildRequest;
  readonly dockerfile: Dockerfile;
  readonly platform: Platform;
  readonly store: BuildStore;
  readonly cache: BuildCache;
  readonly progress: BuildProgress;
  readonly signal: AbortSignal;
  readonly buildFolder: string;
  readonly trees: LayerTrees;
  readonly hosts: BuildMachineOptions['hosts'];
  /** Caches that this build has used, and so has already cleared if it must. */
  readonly renewedCaches: Set<string>;
  /** Called with a RUN that failed, before its machine is removed. */
  readonly onFailedStep: ((step: FailedStep) => Promise<void>) | undefined;
  /** Certificates that the host trusts beyond the usual ones; read once, for the first RUN. */
  certificates(): Promise<HostCertificates | undefined>;
  /** Global ARGs and the predefined ones. */
  readonly globals: ReadonlyMap<string, string>;
  /** Stage → names of the variables it began with, for the checks. */
  readonly baseEnvs: Map<number, ReadonlySet<string>>;
  /** Images that the build looked up, by reference or package URL, with the digests of their manifests. */
  readonly materials: Map<string, string>;
  /** Milliseconds. */
  readonly startedAt: number;
  /** Seconds: SOURCE_DATE_EPOCH, or a neutral time; that of folders and documents that a step makes. */
  readonly epoch: number;
  /** Seconds: SOURCE_DATE_EPOCH, when it was given. */
  readonly sourceDate: number | undefined;
  readonly outputs: readonly Output[];
  readonly cacheTargets: readonly CacheTarget[];
  /** What is attested of the image; undefined: nothing. */
  readonly provenance: Provenance | undefined;
  readonly zstd: ZstdCommand | undefined;
  readonly registry: BuildRegistry | undefined;
  /** A context by name; the empty name is the build's own. */
  openContext(name: string): Promise<OpenedTree>;
  /** Looks at local contexts anew; what has changed since (or `all`) is copied before it is used. */
  renewContexts(all: boolean): void;
  /** Resolves a reference, once per build. */
  findImage(reference: string, platform: string): Promise<BaseImage>;
  /** Only for contexts that the request names: a Dockerfile cannot reach this host's folders. */
  readonly findLayout: FindLayout;
  readonly findServiceImage: FindServiceImage;
  isStageBuilt(index: number): boolean;
  /** Builds a stage, once per build. */
  buildStage(index: number): Promise<StageState>;
}

/** Trees of layer stacks, each indexed once. */
export class LayerTrees {
  readonly #store: Pick<BuildStore, 'layerTar'>;
  readonly #trees = new Map<string, Promise<LayerTree>>();

  constructor(store: Pick<BuildStore, 'layerTar'>) {
    this.#store = store;
  }

  get(layers: readonly string[]): Promise<LayerTree> {
    const key = createHash('sha256').update(layers.join('\n')).digest('hex');
    const known = this.#trees.get(key);
    if (known !== undefined) {
      return known;
    }
    const tree = this.#build(layers);
    this.#trees.set(key, tree);
    // The caller reports a failure; this copy of the promise must not be an unhandled rejection.
    tree.catch(() => this.#trees.delete(key));
    return tree;
  }

  async #build(layers: readonly string[]): Promise<LayerTree> {
    const top = layers.at(-1);
    if (top === undefined) {
      return LayerTree.empty;
    }
    const below = await this.get(layers.slice(0, -1));
    return below.withLayer(await indexTar(this.#store.layerTar(top)));
  }
}

/** Where COPY --from and bind mounts read. */
export interface SourceRoot {
  /** A key of how the content was made; undefined for local folders, which are always hashed. */
  readonly key: string | undefined;
  /** True when it was built again, so that cached copies made with this key have other content. */
  readonly rebuilt?: boolean;
  /** Its layers, when it is a stage or an image. */
  readonly layers?: readonly string[];
  tree(): Promise<FileTree>;
  explainMissing?(path: string): string | undefined;
}
