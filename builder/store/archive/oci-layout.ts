import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { formatLayoutSource, type LayoutSource } from '../../model/layout-source.ts';
import { digestHex, isDigest, ociDigest } from '../format/digest.ts';
import { asObject, MAX_CONFIG, type ParsedConfig, parseImageConfig, parseObject, text } from '../format/image-config.ts';
import type { Descriptor } from '../format/manifest.ts';
import { REF_NAME } from '../format/manifest.ts';
import { checkConfig, chooseManifest, isIndex, parseManifest, parsePlatform } from '../format/platform.ts';

/** An image of a layout folder. Its layers are read, and verified against their digests, when they are requested. */
export interface LayoutImage {
  /** The digest of the manifest for the platform. */
  readonly manifestDigest: string;
  readonly config: Buffer;
  readonly parsed: ParsedConfig;
  /** As many as the config has diff ids. */
  readonly layers: readonly Descriptor[];
  openLayer(layer: Descriptor): AsyncGenerator<Buffer>;
}

const MAX_JSON = 4 * 1024 * 1024;
const MAX_INDEXES = 3;
const CHUNK = 1024 * 1024;

/**
 * The image of a layout (image-spec image-layout.md) for a platform. The manifest is chosen as buildx does: the one with
 * the digest; else the first in index.json with the tag; else the only one in index.json. Throws IMAGE_NOT_FOUND,
 * IMAGE_CORRUPT, IMAGE_PLATFORM.
 */
export const openLayoutImage = async (source: LayoutSource, platform: string): Promise<LayoutImage> => {
  const { folder } = source;
  const name = formatLayoutSource(source);
  await requireLayout(folder);
  const want = parsePlatform(platform);
  let digest = source.digest ?? (await findDigest(source));
  for (let depth = 0; depth <= MAX_INDEXES; depth += 1) {
    const bytes = await readBlob(folder, digest, MAX_JSON);
    const json = parseObject(bytes);
    if (!isIndex('', json)) {
      const manifest = parseManifest(bytes, name);
      const config = await readBlob(folder, manifest.config.digest, MAX_CONFIG);
      const parsed = checkConfig(parseImageConfig(config), { manifest, want, name });
      return { manifestDigest: digest, config, parsed, layers: manifest.layers, openLayer: (layer) => streamBlob(folder, layer) };
    }
    digest = chooseManifest(json, want, name).digest;
  }
  throw new HyprError('IMAGE_CORRUPT', `${name} is an index of indexes, ${MAX_INDEXES} deep`);
};

const requireLayout = async (folder: string): Promise<void> => {
  const info = await stat(folder).catch(noEntry);
  if (info?.isDirectory() === true) {
    return;
  }
  const hint =
    info === undefined ? 'correct the path after oci-layout://' : 'if it is an archive of a layout, unpack it first and name the folder';
  throw new HyprError('IMAGE_NOT_FOUND', `the OCI layout ${folder} is ${info === undefined ? 'not there' : 'not a folder'}`, { hint });
};

const findDigest = async ({ folder, tag }: LayoutSource): Promise<string> => {
  const path = join(folder, 'index.json');
  const bytes = await readSmall(path, MAX_JSON);
  if (bytes === undefined) {
    throw new HyprError('IMAGE_NOT_FOUND', `${folder} has no index.json: it is not an OCI layout`, {
      hint: 'a layout holds oci-layout, index.json and blobs/; hypr build -o type=oci,tar=false,dest=FOLDER makes one',
    });
  }
  const { manifests } = parseObject(bytes);
  const entries = (Array.isArray(manifests) ? manifests : []).map(asObject);
  const tagOf = (entry: (typeof entries)[number]) => text(asObject(entry.annotations)[REF_NAME]);
  const found = entries.find((entry) => tagOf(entry) === (tag ?? 'latest')) ?? (entries.length === 1 ? entries[0] : undefined);
  if (found === undefined) {
    throw notChosen(
      { folder, tag, count: entries.length },
      entries.flatMap((entry) => tagOf(entry) ?? []),
    );
  }
  const digest = text(found.digest) ?? '';
  if (!isDigest(digest)) {
    throw new HyprError('IMAGE_CORRUPT', `${path} names ${JSON.stringify(digest)}, which is not a sha256 digest`);
  }
  return digest;
};

const notChosen = (
  { folder, tag, count }: { folder: string; tag: string | undefined; count: number },
  tags: readonly string[],
): HyprError => {
  const shown = [...new Set(tags)].slice(0, 20).map((each) => each.slice(0, 128));
  const there = shown.length === 0 ? 'none of them has a tag: name one by its digest, @sha256:…' : `its tags are: ${shown.join(', ')}`;
  if (count === 0) {
    return new HyprError('IMAGE_NOT_FOUND', `the OCI layout ${folder} holds no image`);
  }
  return tag === undefined
    ? new HyprError('IMAGE_NOT_FOUND', `the OCI layout ${folder} holds ${count} images, and none has the tag latest`, {
        hint: `name one of them, as in oci-layout://${folder}:TAG; ${there}`,
      })
    : new HyprError('IMAGE_NOT_FOUND', `there is no tag ${JSON.stringify(tag)} in the OCI layout ${folder}`, { hint: there });
};

const blobPath = (folder: string, digest: string): string => join(folder, 'blobs', 'sha256', digestHex(digest));

const readBlob = async (folder: string, digest: string, limit: number): Promise<Buffer> => {
  const data = await readSmall(blobPath(folder, digest), limit);
  if (data === undefined) {
    throw noBlob(folder, digest);
  }
  if (ociDigest(data) !== digest) {
    throw damaged(folder, digest);
  }
  return data;
};

async function* streamBlob(folder: string, { digest, size }: Descriptor): AsyncGenerator<Buffer> {
  const path = blobPath(folder, digest);
  const info = await stat(path).catch(noEntry);
  if (info?.isFile() !== true) {
    throw noBlob(folder, digest);
  }
  if (info.size !== size) {
    throw damaged(folder, digest);
  }
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK })) {
    hash.update(chunk as Buffer);
    yield chunk as Buffer;
  }
  if (`sha256:${hash.digest('hex')}` !== digest) {
    throw damaged(folder, digest);
  }
}

/** A whole regular file; undefined if it does not exist. */
const readSmall = async (path: string, limit: number): Promise<Buffer | undefined> => {
  const info = await stat(path).catch(noEntry);
  if (info?.isFile() !== true) {
    return undefined;
  }
  if (info.size > limit) {
    throw new HyprError('IMAGE_CORRUPT', `${path} has ${info.size} bytes; at most ${limit} are read`);
  }
  return await readFile(path);
};

const noBlob = (folder: string, digest: string): HyprError =>
  new HyprError('IMAGE_NOT_FOUND', `the OCI layout ${folder} has no blob ${digest}`, {
    hint: 'it is incomplete, or the digest belongs to another image; copy or export it again',
  });

const damaged = (folder: string, digest: string): HyprError =>
  new HyprError('IMAGE_CORRUPT', `the blob ${digest} of the OCI layout ${folder} is damaged`, { hint: 'copy or export the layout again' });

const noEntry = (error: unknown): undefined => {
  if (!isErrno(error, 'ENOENT', 'ENOTDIR')) {
    throw error;
  }
};
