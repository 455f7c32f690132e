import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { diskError } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import type { Image, RootDisk } from '../model/types.ts';
import { familiarReference, formatReference, parseReference } from '../registry/config/reference.ts';
import { parseImageConfig } from './format/image-config.ts';
import { makeManifest } from './format/manifest.ts';
import { collectGarbage, type GarbageReport } from './gc.ts';
import { type LayerUsage, measureLayers } from './layer-usage.ts';
import { type AddLayerOptions, type LayerBlob, type LayerRecord, Layers } from './layers.ts';
import { Lookup } from './lookup.ts';
import type { ImageStoreOptions, StoreParts } from './parts.ts';
import { type PruneReport, pruneImages } from './prune.ts';
import { Records } from './records.ts';
import { repairStore, type StoreRepair } from './repair.ts';
import { RootDisks } from './root-disk.ts';
import { findLeftovers, sweepStore } from './sweep.ts';
import { type Lease, takeLease } from './tmp.ts';
import { measureStore, type StoreUsage } from './usage.ts';
import { type StoreFault, verifyStore } from './verify.ts';

export interface AddImageInput {
  /**
   * The config's JSON (image-spec config.md). Pass the exact bytes of a config that was pulled or loaded, because their
   * digest is the image id.
   */
  readonly config: Uint8Array | object;
  /** The manifest it was pulled with. Without one, an OCI manifest with uncompressed layers is made. */
  readonly manifest?: Uint8Array | undefined;
  /** Digest of the Dockerfile that it was built from, which is kept with its names. */
  readonly dockerfile?: string;
  /** Names the image gets, e.g. `shop-web:latest`; another image that has one of them loses it. */
  readonly references: readonly string[];
}

/**
 * Images on disk, shared by all processes of this HYPR_HOME. Everything is verified before it gets its final name, so
 * whatever is there is complete. Layers are kept as an uncompressed `layer.tar` in normal form; `originalLayer` gives
 * the exact original tar, whose sha256 is the diff id, which is what `save` writes.
 */
export interface ImageStore {
  readonly root: string;
  /**
   * By reference (`nginx`, `nginx@sha256:…`), id, or unique prefix of an id; undefined if there is none. Throws
   * IMAGE_REFERENCE if the prefix is ambiguous.
   */
  get(name: string): Promise<Image | undefined>;
  /** Like get, but throws IMAGE_NOT_FOUND, with a similar name as hint. */
  need(name: string): Promise<Image>;
  /** The digest of the Dockerfile that the image of this name was built from; undefined if it was pulled, tagged, or built by an older hypr. */
  dockerfileOf(reference: string): Promise<string | undefined>;
  /** Newest first. */
  list(): Promise<Image[]>;
  tag(name: string, reference: string): Promise<void>;
  /** Lines as docker prints them: `Untagged: …`, `Deleted: …`. Throws IMAGE_IN_USE, IMAGE_NOT_FOUND. */
  remove(name: string, options: { force: boolean }): Promise<string[]>;
  /**
   * `diffId` and `size` are those of the given stream, which may be any layer tar (see normaliseLayer). Hold a lease
   * while adding layers and using them.
   */
  addLayer(tar: AsyncIterable<Uint8Array>, options?: AddLayerOptions): Promise<{ diffId: string; size: number }>;
  /**
   * Like addLayer, but calls `open` only if the layer does not exist yet, or if `blob` is a compressed form of it that
   * was not verified before: the stream, which checks the blob's digest and size, is then read to its end. Throws
   * IMAGE_CORRUPT.
   */
  ensureLayer(
    expectedDiffId: string,
    open: () => Promise<AsyncIterable<Uint8Array>>,
    signal?: AbortSignal,
    blob?: LayerBlob,
  ): Promise<{ diffId: string; size: number }>;
  /** Records a compressed form of a layer that this process has made itself. */
  rememberBlob(diffId: string, blob: LayerBlob): Promise<void>;
  /** The size of the uncompressed tar; undefined if the layer does not exist. */
  hasLayer(diffId: string): Promise<{ size: number } | undefined>;
  /** The layer's tar in normal form: `./` first or last, parents before children, each path once, `.wh.` whiteouts. */
  layerTar(diffId: string): string;
  originalLayer(diffId: string): AsyncIterable<Uint8Array>;
  /** All of its layers must exist. Throws IMAGE_CORRUPT. */
  addImage(input: AddImageInput): Promise<Image>;
  readConfig(imageId: string): Promise<Buffer>;
  readManifest(imageId: string): Promise<Buffer>;
  /** One read-only disk with the merged layers, made in about 30 ms the first time. `image`: an id, or diff ids, bottom first. */
  rootDisk(image: string | readonly string[], signal?: AbortSignal): Promise<RootDisk>;
  /** While it is held, gc keeps everything that was added or looked up since. */
  lease(): Promise<Lease>;
  /** Removes layers and files that no image needs. */
  gc(): Promise<GarbageReport>;
  /**
   * Like gc, but first removes images that nothing uses. `idle` runs before that, while no pull or build can start.
   * Throws IMAGE_IN_USE while one is running.
   */
  prune(which: 'none' | 'dangling' | 'all', idle?: () => Promise<void>, only?: (imageId: string) => boolean): Promise<PruneReport>;
  /** Numbers for `system df`. */
  usage(): Promise<StoreUsage>;
  layerUsage(): Promise<LayerUsage[]>;
  /** Checks everything on disk against its digests. */
  verify(signal?: AbortSignal): Promise<StoreFault[]>;
  /** Makes what is damaged again, or removes it with the images that need it. Throws IMAGE_IN_USE during a pull or build. */
  repair(signal?: AbortSignal): Promise<StoreRepair>;
  /** What killed processes left behind, one line each. These are not faults, and are removed when the store is opened the next time. */
  leftovers(): Promise<string[]>;
}

const FOLDERS = ['images', 'references', 'blobs', 'layers', 'roots', 'tmp', 'leases', 'locks'];

/** Opens the store, creating it if needed, and removes what killed processes left behind. */
export const openImageStore = async (options: ImageStoreOptions): Promise<ImageStore> => {
  const { root, toolchain } = options;
  for (const folder of FOLDERS) {
    await mkdir(join(root, folder), { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw diskError(error, root);
    });
  }
  if (options.sweep !== false) {
    await sweepStore(root);
  }
  const records = new Records(root);
  await records.writeFormat();
  const layers = new Layers(root, toolchain.mkfsErofs);
  const disks = new RootDisks(root, toolchain.mkfsErofs, layers);
  const parts: StoreParts = { root, records, layers, disks, lookup: new Lookup(records), options };
  return { ...imageMethods(parts), ...layerMethods(parts) };
};

/** Changes to names and images are serialised by one lock; each layer has its own. */
const change = <T>({ root }: StoreParts, work: () => Promise<T>): Promise<T> =>
  withLock(join(root, 'locks', 'store.lock'), { what: 'the image store', timeout: 60_000 }, work);

type ImageMethods = Pick<
  ImageStore,
  'root' | 'get' | 'dockerfileOf' | 'need' | 'list' | 'tag' | 'remove' | 'addImage' | 'readConfig' | 'readManifest'
>;

const imageMethods = (parts: StoreParts): ImageMethods => {
  const { root, records, lookup } = parts;
  const tag = async (name: string, reference: string) => {
    const { id } = await lookup.need(name);
    const parsed = parseReference(reference);
    if (parsed.digest !== undefined) {
      throw new HyprError('IMAGE_REFERENCE', `${familiarReference(parsed)} has a digest; a tag cannot have one`);
    }
    await records.writeReference({ reference: formatReference(parsed), imageId: id });
  };
  return {
    root,
    get: (name) => lookup.get(name),
    need: (name) => lookup.need(name),
    dockerfileOf: (reference) => lookup.dockerfileOf(reference),
    list: () => lookup.list(),
    tag: (name, reference) => change(parts, () => tag(name, reference)),
    remove: (name, { force }) => change(parts, () => removeImage(parts, name, force)),
    addImage: (input) => change(parts, () => addImage(parts, input)),
    readConfig: (id) => records.readBlob(id),
    readManifest: async (id) => records.readBlob((await lookup.need(id)).manifestDigest),
  };
};

type LayerMethods = Omit<ImageStore, keyof ImageMethods>;

const layerMethods = (parts: StoreParts): LayerMethods => {
  const { root, layers, lookup, disks } = parts;
  const withoutRecord = ({ diffId, size }: LayerRecord) => ({ diffId, size });
  return {
    addLayer: async (tar, options = {}) => withoutRecord(await layers.add(() => tar, options)),
    ensureLayer: async (expectedDiffId, open, signal, blob) => withoutRecord(await layers.add(open, { expectedDiffId, signal, blob })),
    rememberBlob: (diffId, blob) => layers.remember(diffId, blob),
    hasLayer: async (diffId) => {
      const record = await layers.use(diffId);
      return record === undefined ? undefined : { size: record.size };
    },
    layerTar: (diffId) => layers.tar(diffId),
    originalLayer: (diffId) => layers.original(diffId),
    rootDisk: async (image, signal) => disks.get(typeof image === 'string' ? (await lookup.need(image)).layers : image, signal),
    // Under the lock: a gc that is running would not see the lease.
    lease: () => change(parts, () => takeLease(root)),
    gc: () => change(parts, () => collectGarbage(parts)),
    prune: (which, idle, only) => change(parts, () => pruneImages(parts, which, idle, only)),
    usage: () => measureStore(parts),
    layerUsage: () => measureLayers(parts),
    verify: (signal) => verifyStore(parts, signal),
    repair: (signal) => change(parts, () => repairStore(parts, signal)),
    leftovers: () => findLeftovers(root),
  };
};

const addImage = async ({ records, layers, lookup }: StoreParts, input: AddImageInput): Promise<Image> => {
  const bytes = input.config instanceof Uint8Array ? input.config : Buffer.from(JSON.stringify(input.config));
  const parsed = parseImageConfig(bytes);
  const references = input.references.map((reference) => formatReference(parseReference(reference)));
  const sizes = await Promise.all(parsed.diffIds.map(async (diffId) => (await layers.need(diffId)).size));
  const id = await records.writeBlob(bytes);
  const manifest = input.manifest ?? makeManifest({ config: { digest: id, size: bytes.length }, layers: parsed.diffIds, sizes });
  const manifestDigest = await records.writeBlob(manifest);
  const size = sizes.reduce((sum, value) => sum + value, 0);
  const { platform, created, runtime, diffIds } = parsed;
  await records.writeImage({ id, manifestDigest, platform, created, size, config: runtime, layers: diffIds });
  for (const reference of references) {
    await records.writeReference({ reference, imageId: id, ...(input.dockerfile === undefined ? {} : { dockerfile: input.dockerfile }) });
  }
  return lookup.need(id);
};

/** As `docker rmi`: a name is only untagged unless it is the image's last; an id is removed with all its names. */
const removeImage = async (parts: StoreParts, name: string, force: boolean): Promise<string[]> => {
  const { records, lookup } = parts;
  const image = await lookup.need(name);
  const all = (await records.references()).filter(({ imageId }) => imageId === image.id).map(({ reference }) => reference);
  const named = lookup.referenceOf(name, all);
  const tags = all.filter((reference) => !reference.includes('@'));
  if (named !== undefined && !named.includes('@') && tags.length > 1) {
    await records.removeReference(named);
    return [`Untagged: ${familiarReference(parseReference(named))}`];
  }
  if (named === undefined && tags.length > 1 && !force) {
    throw new HyprError('IMAGE_IN_USE', `image ${image.id.slice(7, 19)} has several names: ${tags.join(', ')}`, {
      hint: 'remove it by name, or use --force',
    });
  }
  const users = (await parts.options.inUse?.(image.id)) ?? [];
  if (users.length > 0 && !force) {
    throw new HyprError('IMAGE_IN_USE', `image ${name} is used by ${users.join(', ')}`, {
      hint: 'take the stack down first, or use --force',
    });
  }
  for (const reference of all) {
    await records.removeReference(reference);
  }
  if (users.length > 0) {
    // Replicas need its layers at their next start, and what is suspended for its memory: it goes with the last of them, by prune.
    return all.map((reference) => `Untagged: ${familiarReference(parseReference(reference))}`);
  }
  await records.removeImage(image.id);
  await collectGarbage(parts);
  return [...all.map((reference) => `Untagged: ${familiarReference(parseReference(reference))}`), `Deleted: ${image.id}`];
};
