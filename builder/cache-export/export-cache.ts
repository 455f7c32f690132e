import { messageOf } from '../../base/errors.ts';
import { type Blob, LayerBlobs } from '../export/compress-layer.ts';
import { encode, jsonBlob } from '../export/make-image.ts';
import { needRegistry, pushDocument, toSource } from '../export/push-output.ts';
import { openWorkFolder } from '../export/work-folder.ts';
import { layoutFolder } from '../export/write-layout.ts';
import type { CacheTarget } from '../options/parse-cache.ts';
import { parseReference } from '../registry/config/reference.ts';
import type { BuildContext } from '../solver/frame/build-context.ts';
import type { Vertex } from '../solver/frame/progress.ts';
import type { StageState } from '../solver/frame/state.ts';
import { digestHex } from '../store/format/digest.ts';
import { MEDIA, REF_NAME } from '../store/format/manifest.ts';
import { CACHE_CONFIG, type CacheEntry, encodeCacheConfig, INLINE_FIELD } from './cache-format.ts';

type Place = Exclude<CacheTarget, { type: 'inline' }>;

/** Exports the cache of a finished build to every `--cache-to` target; `ignore-error` turns failures into warnings. */
export const exportCaches = async (build: BuildContext, state: StageState): Promise<void> => {
  const targets = build.cacheTargets.filter((target): target is Place => target.type !== 'inline');
  if (targets.length === 0) {
    return;
  }
  await using work = await openWorkFolder(build.buildFolder);
  const { store, zstd, signal } = build;
  const blobs = new LayerBlobs({ store, folder: work.path, zstd, signal });
  for (const target of targets) {
    try {
      const title = target.type === 'local' ? 'exporting cache to client directory' : `exporting cache to registry ${target.place}`;
      await build.progress.run(title, (vertex) => exportCache(build, { target, state, blobs, vertex }));
    } catch (error) {
      signal.throwIfAborted();
      if (!target.ignoreError) {
        throw error;
      }
      build.progress.warn(`the cache was not exported to ${target.place}: ${messageOf(error)}`);
    }
  }
};

/** `type=inline`: a field of the image's config with the steps that made its own layers. */
export const inlineField = (build: BuildContext, state: StageState): Record<string, unknown> =>
  build.cacheTargets.some(({ type }) => type === 'inline') ? { [INLINE_FIELD]: { entries: entriesOf(build, state, false) } } : {};

/**
 * With `mode=max` every step of the build, otherwise those that the result consists of; oldest first, so that the export
 * is reproducible.
 */
const entriesOf = (build: BuildContext, state: StageState, max: boolean): CacheEntry[] =>
  build.cache.used
    .filter(({ key, diffId }) => max || (state.steps.includes(key) && (diffId === null || state.layers.includes(diffId))))
    .map(({ key, diffId, created, keys }) => ({ key, diffId, created, keys: [...keys].sort() }))
    .sort((a, b) => a.created - b.created || (a.key < b.key ? -1 : 1));

const exportCache = async (
  build: BuildContext,
  { target, state, blobs, vertex }: { target: Place; state: StageState; blobs: LayerBlobs; vertex: Vertex },
): Promise<void> => {
  vertex.status('preparing build cache for export');
  const entries = entriesOf(build, state, target.max);
  const diffIds = [...new Set(entries.flatMap(({ diffId }) => diffId ?? []))];
  const layers: Blob[] = [];
  for (const diffId of diffIds) {
    layers.push(await blobs.get(diffId, target.compression));
    vertex.status(`writing layer ${diffId}`);
  }
  const config = jsonBlob(CACHE_CONFIG, encodeCacheConfig({ entries, diffIds }));
  const manifest = jsonBlob(
    MEDIA.ociManifest,
    encode({
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      config: config.descriptor,
      layers: layers.map(({ descriptor }) => descriptor),
    }),
  );
  vertex.status(`writing config ${config.descriptor.digest}`);
  vertex.status(`writing cache manifest ${manifest.descriptor.digest}`);
  await (target.type === 'local' ? writeLocal : writeRemote)(build, target, { blobs: [...layers, config], manifest });
};

interface CacheBlobs {
  readonly blobs: readonly Blob[];
  readonly manifest: Blob;
}

/** Blobs first, then index.json with the other tags unchanged, so that a reader never finds an incomplete cache. */
const writeLocal = async (build: BuildContext, { place, tag }: Place, { blobs, manifest }: CacheBlobs): Promise<void> => {
  const members = [...blobs, manifest].map((blob) => ({
    name: `blobs/sha256/${digestHex(blob.descriptor.digest)}`,
    blob: { ...blob, size: blob.descriptor.size },
  }));
  const own = { ...manifest.descriptor, annotations: { [REF_NAME]: tag } };
  const documents = new Map<string, object>([
    ['oci-layout', { imageLayoutVersion: '1.0.0' }],
    ['index.json', { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: [own] }],
  ]);
  await layoutFolder({ blobs: members, documents }, place, build);
};

const writeRemote = async (build: BuildContext, { place }: Place, { blobs, manifest }: CacheBlobs): Promise<void> => {
  const { signal } = build;
  await needRegistry(build).withPushTarget(
    place,
    async (target) => {
      for (const blob of blobs) {
        await target.pushBlob({ blob: toSource(blob), signal });
      }
      await pushDocument(target, parseReference(place).tag ?? 'latest', manifest);
    },
    signal,
  );
};
