import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { diskError, readTextIfThere, writeFileAtomic } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import { shortHash } from '../../base/paths.ts';
import { asObject, parseObject } from '../store/format/image-config.ts';
import { IMAGE_NAME, REF_NAME } from '../store/format/manifest.ts';

/** What a layout folder's documents are, by their file names. */
export type LayoutDocuments = ReadonlyMap<string, object>;

const LOCK_TIMEOUT = 60_000;

/**
 * Writes index.json, manifest.json and oci-layout of a layout folder: what other images it has stays, what has a name of
 * ours is replaced. Builds of this home that write to the same folder take turns. `lockFolder`: where their lock is.
 */
export const writeLayoutDocuments = async (
  documents: LayoutDocuments,
  { folder, lockFolder, signal }: { readonly folder: string; readonly lockFolder: string; readonly signal: AbortSignal },
): Promise<void> => {
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw diskError(error, folder);
  });
  const id = shortHash(await realpath(folder), 32);
  await withLock(join(lockFolder, `layout-${id}`), { what: `the image layout ${folder}`, timeout: LOCK_TIMEOUT, signal }, async () => {
    for (const [name, value] of documents) {
      const path = join(folder, name);
      const merge = MERGES[name];
      await writeFileAtomic(path, JSON.stringify(merge === undefined ? value : merge(await readTextIfThere(path), value)), 0o644);
    }
  });
};

type Merge = (there: string | undefined, own: object) => object;

const mergeIndex: Merge = (there, own) => {
  const added = listOf(asObject(own).manifests);
  const names = new Set(added.map(nameOf));
  const others = there === undefined ? [] : listOf(parseObject(Buffer.from(there)).manifests).filter((entry) => !names.has(nameOf(entry)));
  return { ...own, manifests: [...others, ...added] };
};

/** Of an image without a name the empty one, so that building it again replaces it. */
const nameOf = (entry: unknown): string => {
  const annotations = asObject(asObject(entry).annotations);
  return String(annotations[IMAGE_NAME] ?? annotations[REF_NAME] ?? '');
};

/** manifest.json, docker's list: each image once, with its names. */
const mergeDockerList: Merge = (there, own) => {
  const added = listOf(own);
  const names = new Set(added.flatMap(tagsOf));
  const others = (there === undefined ? [] : parseList(there)).flatMap((entry) => {
    const tags = tagsOf(entry).filter((tag) => !names.has(tag));
    return tags.length === 0 ? [] : [{ ...asObject(entry), RepoTags: tags[0] === '' ? null : tags }];
  });
  return [...others, ...added];
};

const parseList = (text: string): unknown[] => {
  try {
    return listOf(JSON.parse(text));
  } catch (error) {
    throw new HyprError('IMAGE_CORRUPT', 'manifest.json of the image layout is not JSON', { cause: error });
  }
};

const tagsOf = (entry: unknown): string[] => {
  const tags = listOf(asObject(entry).RepoTags).map(String);
  return tags.length === 0 ? [''] : tags;
};

const MERGES: Readonly<Record<string, Merge>> = { 'index.json': mergeIndex, 'manifest.json': mergeDockerList };

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
