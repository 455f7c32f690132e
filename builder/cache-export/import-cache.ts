import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, messageOf } from '../../base/errors.ts';
import { needRegistry } from '../export/push-output.ts';
import { type CacheOrigin, parseCacheOrigins } from '../options/parse-cache.ts';
import { MAX_MANIFEST, type Repository } from '../registry/client.ts';
import { parseReference } from '../registry/config/reference.ts';
import { decompressLayer } from '../registry/transport/decompress.ts';
import type { BuildContext } from '../solver/frame/build-context.ts';
import type { CacheSource } from '../solver/frame/cache.ts';
import { formatPlatform } from '../solver/frame/platform.ts';
import { digestHex, isDigest, ociDigest } from '../store/format/digest.ts';
import { asObject, type Json, parseObject } from '../store/format/image-config.ts';
import type { Descriptor } from '../store/format/manifest.ts';
import { IMAGE_NAME, REF_NAME } from '../store/format/manifest.ts';
import { chooseManifest, isIndex, parseManifest, parsePlatform } from '../store/format/platform.ts';
import { CACHE_CONFIG, type CacheConfig, decodeCacheConfig, MAX_CACHE_CONFIG, readInlineEntries } from './cache-format.ts';

/** Reads manifests and layers of a cache; everything is verified against its digest. */
interface Reader {
  /** By tag or digest. */
  manifest(name: string): Promise<Buffer>;
  small(descriptor: Descriptor): Promise<Buffer>;
  layer(descriptor: Descriptor): AsyncIterable<Buffer>;
}

/** Runs work with a reader; a registry's connection is closed afterwards. */
type WithReader = <T>(work: (reader: Reader) => Promise<T>) => Promise<T>;

interface LoadedCache extends CacheConfig {
  /** Of the layers, in the order of their diff ids. */
  readonly layers: readonly Descriptor[];
}

type ImportBuild = Pick<BuildContext, 'request' | 'registry' | 'store' | 'zstd' | 'signal' | 'progress' | 'platform'>;

/** The `--cache-from` caches that can be read; for the others a warning is printed and the build continues without them. */
export const importCaches = async (build: ImportBuild): Promise<CacheSource[]> => {
  const origins = parseCacheOrigins(build.request);
  const sources = await Promise.all(origins.map((origin) => importCache(build, origin)));
  return sources.filter((source) => source !== undefined);
};

const importCache = async (build: ImportBuild, origin: CacheOrigin): Promise<CacheSource | undefined> => {
  const withReader = origin.type === 'local' ? localReader(origin.place) : registryReader(build, origin.place);
  try {
    const cache = await build.progress.run(`importing cache manifest from ${origin.place}`, () =>
      withReader((reader) => loadCache(reader, origin, formatPlatform(build.platform))),
    );
    return makeSource(build, cache, { origin, withReader });
  } catch (error) {
    build.signal.throwIfAborted();
    build.progress.warn(`the cache ${origin.place} cannot be used: ${messageOf(error)}`);
    return undefined;
  }
};

/** Loads a cache manifest, or an image with a cache in its config. */
const loadCache = async (reader: Reader, origin: CacheOrigin, platform: string): Promise<LoadedCache> => {
  const tag = origin.type === 'local' ? origin.tag : (parseReference(origin.place).tag ?? 'latest');
  let bytes = await reader.manifest(origin.digest ?? tag);
  const json = parseObject(bytes);
  if (isIndex('', json)) {
    bytes = await reader.manifest(chooseManifest(json, parsePlatform(platform), origin.place).digest);
  }
  const { config, layers } = parseManifest(bytes, origin.place);
  if (config.size > MAX_CACHE_CONFIG) {
    throw new HyprError('IMAGE_CORRUPT', `its config has ${config.size} bytes`);
  }
  const data = await reader.small(config);
  const loaded = config.mediaType === CACHE_CONFIG ? decodeCacheConfig(data) : readImage(parseObject(data));
  if (loaded.diffIds.length !== layers.length) {
    throw new HyprError('IMAGE_CORRUPT', `it has ${layers.length} layers and names ${loaded.diffIds.length}`);
  }
  return { ...loaded, layers };
};

const readImage = (config: Json): CacheConfig => {
  const ids = asObject(config.rootfs).diff_ids;
  const entries = readInlineEntries(config);
  if (entries.length === 0 || !Array.isArray(ids)) {
    throw new HyprError('IMAGE_CORRUPT', 'the image holds no cache: it was built without --cache-to type=inline');
  }
  return { entries, diffIds: ids.filter((id): id is string => typeof id === 'string' && isDigest(id)) };
};

const makeSource = (
  build: ImportBuild,
  cache: LoadedCache,
  { origin, withReader }: { origin: CacheOrigin; withReader: WithReader },
): CacheSource => {
  const records = new Map(cache.entries.flatMap((entry) => [...entry.keys, entry.key].map((key) => [key, entry] as const)));
  const descriptors = new Map(cache.diffIds.map((diffId, index) => [diffId, cache.layers[index]]));
  const broken = new Set<string>();
  return {
    find: (key) => records.get(key),
    fetch: async (diffId) => {
      const descriptor = descriptors.get(diffId);
      if (descriptor === undefined || broken.has(diffId)) {
        return false;
      }
      try {
        await withReader(async (reader) => {
          const open = () => Promise.resolve(decompressLayer(reader.layer(descriptor), { zstd: build.zstd, igzip: undefined }));
          await build.store.ensureLayer(diffId, open, build.signal);
        });
        return true;
      } catch (error) {
        build.signal.throwIfAborted();
        broken.add(diffId);
        build.progress.warn(`a layer of the cache ${origin.place} cannot be used: ${messageOf(error)}`);
        return false;
      }
    },
  };
};

const localReader = (folder: string): WithReader => {
  const path = (digest: string) => join(folder, 'blobs', 'sha256', digestHex(digest));
  const small = async (digest: string, limit: number): Promise<Buffer> => {
    if ((await stat(path(digest))).size > limit) {
      throw new HyprError('IMAGE_CORRUPT', `the blob ${digest} is too large`);
    }
    const data = await readFile(path(digest));
    if (ociDigest(data) !== digest) {
      throw new HyprError('IMAGE_CORRUPT', `the blob ${digest} is damaged`);
    }
    return data;
  };
  const find = async (name: string): Promise<string> => {
    if (isDigest(name)) {
      return name;
    }
    const index = parseObject(await readFile(join(folder, 'index.json')));
    const entries = (Array.isArray(index.manifests) ? index.manifests : []).map(asObject);
    const tagged = entries.filter(({ annotations }) => asObject(annotations)[REF_NAME] === name);
    // An image beside the cache may have the same tag, but has a name, too.
    const named = tagged.find(({ annotations }) => asObject(annotations)[IMAGE_NAME] === undefined) ?? tagged[0];
    const digest = (named ?? (entries.length === 1 ? entries[0] : undefined))?.digest;
    if (typeof digest !== 'string' || !isDigest(digest)) {
      throw new HyprError('IMAGE_NOT_FOUND', `there is nothing with the tag ${name} in it`);
    }
    return digest;
  };
  const reader: Reader = {
    manifest: async (name) => small(await find(name), MAX_MANIFEST),
    small: (descriptor) => small(descriptor.digest, MAX_CACHE_CONFIG),
    // The store verifies the decompressed layer against its diff id.
    layer: (descriptor) => createReadStream(path(descriptor.digest), { highWaterMark: 1024 * 1024 }),
  };
  return (work) => work(reader);
};

const registryReader =
  (build: ImportBuild, reference: string): WithReader =>
  (work) =>
    needRegistry(build).withRepository(reference, (repository) => work(repositoryReader(repository, build.signal)), build.signal);

const repositoryReader = (repository: Repository, signal: AbortSignal): Reader => ({
  manifest: async (name) => (await repository.manifest(name)).bytes,
  small: (descriptor) => repository.smallBlob(descriptor, MAX_CACHE_CONFIG),
  layer: (descriptor) => repository.blob(descriptor, () => {}, signal),
});
