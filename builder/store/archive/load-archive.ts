import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { diskError } from '../../../base/host/files.ts';
import type { ProgressSink } from '../../../base/progress.ts';
import { formatReference, parseReference } from '../../registry/config/reference.ts';
import { type Decompressors, decompressLayer } from '../../registry/transport/decompress.ts';
import { digestHex, isDigest, ociDigest } from '../format/digest.ts';
import { asObject, type Json, MAX_CONFIG, parseImageConfig, parseObject, strings, text } from '../format/image-config.ts';
import type { Descriptor } from '../format/manifest.ts';
import { IMAGE_NAME, REF_NAME } from '../format/manifest.ts';
import { chooseManifest, isIndex, parseManifest, parsePlatform } from '../format/platform.ts';
import type { ImageStore } from '../store.ts';
import { makeStagingFolder } from '../tmp.ts';
import { type ArchiveFile, openArchiveFile } from './archive-file.ts';

interface LoadInput {
  readonly store: ImageStore;
  readonly decompressors: Decompressors;
  readonly progress: ProgressSink;
  readonly signal?: AbortSignal | undefined;
}

/** An image in an archive: where its parts are, and its names. */
interface Found {
  readonly config: Buffer;
  readonly manifest: Buffer | undefined;
  readonly layers: readonly string[];
  /** Its layers as the manifest describes them, if the manifest is kept as it is. */
  readonly blobs?: ReadonlyArray<Pick<Descriptor, 'digest' | 'size'>>;
  readonly references: readonly string[];
}

const MAX_JSON = 4 * 1024 * 1024;
const MAX_IMAGES = 1000;
const NAME_KEYS = [IMAGE_NAME, REF_NAME] as const;

/**
 * Loads every image of a `docker save` archive or an OCI layout, compressed or not. Gives their names, or the id of an
 * image without a name.
 */
export const loadArchive = async (path: string, input: LoadInput): Promise<string[]> => {
  const staging = await makeStagingFolder(input.store.root, 'load');
  const lease = await input.store.lease();
  try {
    const archive = await openArchiveFile(await plainArchive(path, staging.path, input));
    try {
      const loaded: string[] = [];
      for (const found of await findImages(archive, path)) {
        loaded.push(...(await loadImage(archive, found, input)));
      }
      return loaded;
    } finally {
      await archive[Symbol.asyncDispose]();
    }
  } catch (error) {
    throw diskError(error, input.store.root);
  } finally {
    await lease.release();
    await staging.remove();
  }
};

/** Members are read in any order, so a compressed archive, or one that is not a regular file, is written to disk first. */
const plainArchive = async (path: string, staging: string, { decompressors, signal }: LoadInput): Promise<string> => {
  const info = await stat(path).catch((error: unknown) => {
    throw isErrno(error, 'ENOENT') ? new HyprError('HYPR_USAGE', `there is no archive ${path}`, { cause: error }) : error;
  });
  if (info.isFile() && !(await isCompressed(path))) {
    return path;
  }
  const plain = join(staging, 'archive.tar');
  const source = createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>;
  await pipeline(decompressLayer(source, decompressors), createWriteStream(plain, { mode: 0o600 }), ...(signal ? [{ signal }] : []));
  return plain;
};

const isCompressed = async (path: string): Promise<boolean> => {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(path, { end: 3 })) {
    chunks.push(chunk as Buffer);
  }
  const magic = Buffer.concat(chunks).toString('hex');
  return magic.startsWith('1f8b') || magic === '28b52ffd';
};

const findImages = async (archive: ArchiveFile, path: string): Promise<Found[]> => {
  if (archive.has('manifest.json')) {
    return findDockerImages(archive);
  }
  if (archive.has('index.json')) {
    return findOciImages(archive);
  }
  throw new HyprError('IMAGE_CORRUPT', `${path} has neither manifest.json nor index.json`, {
    hint: 'it is neither a docker save archive nor an OCI layout',
  });
};

const findDockerImages = async (archive: ArchiveFile): Promise<Found[]> => {
  const list = asArray(JSON.parse((await archive.read('manifest.json', MAX_JSON)).toString('utf8')));
  return Promise.all(
    list.map(async (entry): Promise<Found> => {
      const json = asObject(entry);
      return {
        config: await archive.read(text(json.Config) ?? '', MAX_CONFIG),
        manifest: undefined,
        layers: strings(json.Layers),
        references: strings(json.RepoTags),
      };
    }),
  );
};

/** Reads index.json (image-spec image-layout.md). Of a multi-platform image, the one for linux/amd64 is loaded. */
const findOciImages = async (archive: ArchiveFile): Promise<Found[]> => {
  const index = parseObject(await archive.read('index.json', MAX_JSON));
  const found = new Map<string, Found>();
  for (const entry of asArray(index.manifests).map(asObject)) {
    const digest = await resolveOci(archive, entry);
    const image = found.get(digest) ?? (await readOci(archive, digest));
    found.set(digest, { ...image, references: [...image.references, ...nameOf(entry)] });
  }
  return [...found.values()];
};

const resolveOci = async (archive: ArchiveFile, entry: Json): Promise<string> => {
  const digest = text(entry.digest) ?? '';
  const json = parseObject(await readBlob(archive, digest, MAX_JSON));
  return isIndex(text(entry.mediaType) ?? '', json) ? chooseManifest(json, parsePlatform(), 'the archive').digest : digest;
};

const readOci = async (archive: ArchiveFile, digest: string): Promise<Found> => {
  const bytes = await readBlob(archive, digest, MAX_JSON);
  const manifest = parseManifest(bytes, 'the archive');
  const layers = manifest.layers.map((layer) => blobName(layer.digest));
  return {
    config: await readBlob(archive, manifest.config.digest, MAX_CONFIG),
    manifest: bytes,
    layers,
    blobs: manifest.layers,
    references: [],
  };
};

const nameOf = (entry: Json): string[] => {
  const annotations = asObject(entry.annotations);
  const name = NAME_KEYS.map((key) => text(annotations[key])).find((value) => value !== undefined && /[/:]/.test(value));
  return name === undefined ? [] : [name];
};

const blobName = (digest: string): string => `blobs/sha256/${digestHex(digest)}`;

const readBlob = async (archive: ArchiveFile, digest: string, limit: number): Promise<Buffer> => {
  const data = await archive.read(blobName(digest), limit);
  if (!isDigest(digest) || ociDigest(data) !== digest) {
    throw new HyprError('IMAGE_CORRUPT', `the blob ${digest} of the archive is damaged`);
  }
  return data;
};

const loadImage = async (archive: ArchiveFile, found: Found, { store, decompressors, progress, signal }: LoadInput): Promise<string[]> => {
  const { diffIds } = parseImageConfig(found.config);
  if (diffIds.length !== found.layers.length) {
    throw new HyprError('IMAGE_CORRUPT', `an image of the archive has ${found.layers.length} layers and a config for ${diffIds.length}`);
  }
  const id = found.references[0] ?? ociDigest(found.config);
  progress({ id: `Image ${id}`, status: 'working', text: 'Loading', current: 0, total: diffIds.length });
  for (const [index, diffId] of diffIds.entries()) {
    const blob = found.blobs?.[index];
    const open = async () => {
      const stream = archive.stream(found.layers[index] ?? '');
      return decompressLayer(blob === undefined ? stream : checked(stream, blob), decompressors);
    };
    await store.ensureLayer(diffId, open, signal, blob);
    progress({ id: `Image ${id}`, status: 'working', text: 'Loading', current: index + 1, total: diffIds.length });
  }
  const references = found.references.map((reference) => formatReference(parseReference(reference)));
  const image = await store.addImage({ config: found.config, manifest: found.manifest, references });
  progress({ id: `Image ${id}`, status: 'done', text: 'Loaded' });
  return found.references.length > 0 ? [...found.references] : [image.id];
};

/** Streams a manifest's blob and verifies it, because the manifest is kept with its digests. */
async function* checked(stream: AsyncIterable<Buffer>, { digest, size }: Pick<Descriptor, 'digest' | 'size'>): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of stream) {
    hash.update(chunk);
    bytes += chunk.length;
    yield chunk;
  }
  if (bytes !== size || `sha256:${hash.digest('hex')}` !== digest) {
    throw new HyprError('IMAGE_CORRUPT', `the blob ${digest} of the archive is damaged`);
  }
}

const asArray = (value: unknown): unknown[] => (Array.isArray(value) ? value.slice(0, MAX_IMAGES) : []);
