import { join } from 'node:path';
import { isSameFile } from '../../base/host/files.ts';
import { normaliseLayer } from '../layers/normalise.ts';
import { Damage, damageOf } from './damage.ts';
import { readErofs } from './erofs.ts';
import { digestHex } from './format/digest.ts';
import { parseImageConfig } from './format/image-config.ts';
import type { StoreParts } from './parts.ts';
import { type ImageRecord, type Records, referenceFile } from './records.ts';
import { checkSeal } from './seal.ts';
import { makeStagingFolder } from './tmp.ts';

/** What is damaged: `name` is a digest, an image's id, the name of a file of references, or that of a disk's folder. */
export interface StoreFault {
  readonly kind: 'blob' | 'layer' | 'image' | 'reference' | 'root disk';
  readonly name: string;
  /** Why, in words. */
  readonly reason: string;
}

/**
 * Checks the whole store: blobs against their digests, layers by rebuilding their original tars and normal forms, indexes and
 * disks against what was made, records against what they are made from, and that everything a record refers to exists.
 * Throws what is no fault of the store, such as HYPR_DISK_FULL: each layer is made once more beside it.
 */
export const verifyStore = async (parts: StoreParts, signal?: AbortSignal): Promise<StoreFault[]> => {
  const { records, layers, disks } = parts;
  const faults: StoreFault[] = [];
  const checkAll = async (kind: StoreFault['kind'], names: readonly string[], check: (name: string) => Promise<unknown>) => {
    for (const name of names) {
      signal?.throwIfAborted();
      try {
        await check(name);
      } catch (error) {
        faults.push({ kind, name, reason: damageOf(error) });
      }
    }
  };
  await checkAll('blob', await records.blobs(), (digest) => records.readBlob(digest));
  await checkAll('layer', await layers.folders(), (diffId) => checkLayer(parts, diffId, signal));
  await checkAll('image', await records.imageIds(), (id) => checkImage(parts, id));
  await checkAll('reference', await records.referenceFiles(), (file) => checkReference(records, file));
  await checkAll('root disk', await disks.names(), (name) => disks.check(name));
  return faults;
};

/**
 * Throws when a file of the layer is not what was made of its original archive. `layer.tar` is made again to be compared:
 * the archive's digest covers contents, and headers only as they were before they were brought into normal form.
 */
export const checkLayer = async ({ root, layers }: StoreParts, diffId: string, signal: AbortSignal | undefined): Promise<void> => {
  await checkSeal(layers.folder(diffId));
  await readErofs(layers.index(diffId));
  await layers.blobs(diffId);
  if ((await layers.peek(diffId)) === undefined) {
    throw new Damage('it has no record');
  }
  const staging = await makeStagingFolder(root, 'check');
  try {
    await normaliseLayer(layers.original(diffId), { folder: staging.path, expectedDiffId: diffId, signal });
    if (!(await isSameFile(join(staging.path, 'layer.tar'), layers.tar(diffId)))) {
      throw new Damage('its layer.tar is not what was made');
    }
  } finally {
    await staging.remove();
  }
};

const checkImage = async ({ records, layers }: StoreParts, id: string): Promise<void> => {
  const image = await records.readImage(id);
  if (image === undefined) {
    return;
  }
  const made = await describeImage({ records, layers }, id, image.manifestDigest);
  if (JSON.stringify(sorted(made)) !== JSON.stringify(sorted(image))) {
    throw new Damage('its record is not what its config says');
  }
};

const sorted = (value: unknown): unknown =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
    ? Object.fromEntries(
        Object.entries(value)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, each]) => [key, sorted(each)]),
      )
    : value;

/** The record of an image, made from its config and its layers. Throws IMAGE_CORRUPT when one of them, or the manifest, is missing or damaged. */
export const describeImage = async (
  { records, layers }: Pick<StoreParts, 'records' | 'layers'>,
  id: string,
  manifestDigest: string,
): Promise<ImageRecord> => {
  await records.readBlob(manifestDigest);
  const { platform, created, runtime, diffIds } = parseImageConfig(await records.readBlob(id));
  const sizes = await Promise.all(diffIds.map(async (diffId) => (await layers.need(diffId)).size));
  const size = sizes.reduce((sum, value) => sum + value, 0);
  return { id, manifestDigest, platform, created, size, config: runtime, layers: diffIds };
};

const checkReference = async (records: Records, file: string): Promise<void> => {
  const record = await records.readReferenceFile(file);
  if (record === undefined) {
    return;
  }
  if (typeof record.reference !== 'string' || referenceFile(record.reference) !== file) {
    throw new Damage('it is not under its own name');
  }
  if (!(await records.imageIds()).includes(record.imageId)) {
    throw new Damage(`${record.reference}: its image ${digestHex(record.imageId)} is not in the store`);
  }
};
