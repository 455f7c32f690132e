import { createWriteStream } from 'node:fs';
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HyprError, isErrno } from '../../base/errors.ts';
import { diskError } from '../../base/host/files.ts';
import { stagingPathBeside } from '../../base/host/staging.ts';
import { END_MARK, padding } from '../../base/tar/block.ts';
import { exactly } from '../../base/tar/exactly.ts';
import { encodePlainFile } from '../../base/tar/header.ts';
import { familiarReference, parseReference } from '../registry/config/reference.ts';
import { digestHex } from '../store/format/digest.ts';
import { IMAGE_NAME, MEDIA, REF_NAME } from '../store/format/manifest.ts';
import type { Blob } from './compress-layer.ts';
import { type LayoutDocuments, writeLayoutDocuments } from './layout-index.ts';
import { encode, type ImageBundle } from './make-image.ts';

interface Member {
  readonly name: string;
  readonly blob: Pick<Blob, 'open'> & { readonly size: number };
}

/** An image archive or layout folder (image-spec image-layout.md). */
export interface Layout {
  readonly blobs: readonly Member[];
  readonly documents: LayoutDocuments;
}

/** The layout of an image; for docker also with manifest.json. */
export const layoutOf = (bundle: ImageBundle, options: { readonly names: readonly string[]; readonly docker: boolean }): Layout => {
  const all = [...bundle.layers, bundle.config, bundle.manifest, ...bundle.extras, ...(bundle.index ? [bundle.index] : [])];
  const unique = new Map(all.map((blob) => [blob.descriptor.digest, blob]));
  const blobs = [...unique.values()].map((blob): Member => ({ name: blobName(blob), blob: { ...blob, size: blob.descriptor.size } }));
  const tops =
    options.names.length === 0
      ? [bundle.top]
      : options.names.map((name) => ({ ...bundle.top, annotations: { ...bundle.top.annotations, ...nameOf(name) } }));
  const files: Array<[string, object]> = [
    ['index.json', { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: tops }],
    ...(options.docker ? [['manifest.json', dockerList(bundle, options.names)] satisfies [string, object]] : []),
    ['oci-layout', { imageLayoutVersion: '1.0.0' }],
  ];
  return { blobs, documents: new Map(files) };
};

const inMemory = (data: Buffer): Member['blob'] => ({ size: data.length, open: () => Readable.from([data], { objectMode: false }) });

const blobName = ({ descriptor }: Blob): string => `blobs/sha256/${digestHex(descriptor.digest)}`;

const nameOf = (reference: string): Record<string, string> => ({
  [IMAGE_NAME]: reference,
  [REF_NAME]: parseReference(reference).tag ?? '',
});

const dockerList = (bundle: ImageBundle, names: readonly string[]): object[] => {
  const tags = names.map((name) => familiarReference(parseReference(name)));
  return [{ Config: blobName(bundle.config), RepoTags: tags.length === 0 ? null : tags, Layers: bundle.layers.map(blobName) }];
};

/** The layout as a tar. */
export async function* layoutTar({ blobs, documents }: Layout): AsyncGenerator<Uint8Array> {
  const files = Array.from(documents, ([name, value]): Member => ({ name, blob: inMemory(encode(value)) }));
  for (const { name, blob } of [...blobs, ...files]) {
    yield encodePlainFile(name, blob.size);
    yield* exactly(blob.open(), blob.size, () => new HyprError('IMAGE_CORRUPT', `${name} is not as long as it was`));
    yield Buffer.alloc(padding(blob.size));
  }
  yield END_MARK;
}

/**
 * Writes a layout to a folder, blobs first, so that index.json never refers to a missing blob. In an existing layout the
 * new image is added to those that are there; one of the same name is replaced. Throws HYPR_USAGE, HYPR_LOCKED.
 */
export const layoutFolder = async (
  { blobs, documents }: Layout,
  folder: string,
  { buildFolder, signal }: { readonly buildFolder: string; readonly signal: AbortSignal },
): Promise<void> => {
  await requireOwnFolder(folder);
  for (const { name, blob } of blobs) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    const staging = await stagingPathBeside(path);
    try {
      await pipeline(Readable.from(blob.open()), createWriteStream(staging, { mode: 0o644, flags: 'wx' }), { signal });
      await rename(staging, path);
    } catch (error) {
      await rm(staging, { force: true });
      throw diskError(error, path);
    }
  }
  await writeLayoutDocuments(documents, { folder, lockFolder: join(buildFolder, 'locks'), signal });
};

/** The layout's folders must be real folders, because a symlink could lead anywhere. */
const requireOwnFolder = async (folder: string): Promise<void> => {
  for (const path of [join(folder, 'blobs'), join(folder, 'blobs', 'sha256')]) {
    const info = await lstat(path).catch(noEntry);
    if (info !== undefined && !info.isDirectory()) {
      throw new HyprError('HYPR_USAGE', `${path} is not a folder: nothing is written there`);
    }
  }
  const names = await readdir(folder).catch(noEntry);
  if (names !== undefined && names.length > 0 && !['oci-layout', 'index.json', 'blobs'].some((name) => names.includes(name))) {
    throw new HyprError('HYPR_USAGE', `${folder} holds other things than an image layout`, {
      hint: 'name an empty folder, or one that is not there yet',
    });
  }
};

const noEntry = (error: unknown): undefined => {
  if (!isErrno(error, 'ENOENT')) {
    throw error;
  }
};
