import { familiarReference, parseReference } from '../registry/config/reference.ts';
import { damageOf } from './damage.ts';
import { collectGarbage } from './gc.ts';
import type { StoreParts } from './parts.ts';
import { refuseWhileBusy } from './prune.ts';
import { checkLayer, describeImage, type StoreFault, verifyStore } from './verify.ts';

/** What a repair did, one line each. */
export interface StoreRepair {
  /** Made again from what is whole. */
  readonly repaired: readonly string[];
  /** Gone: to be pulled or built again. */
  readonly removed: readonly string[];
}

/**
 * Makes damaged parts again where something whole says what they are, and removes the others with the images that need
 * them, so that the next `up` pulls or builds those. The caller holds the store's lock. Throws IMAGE_IN_USE while a pull
 * or build is running.
 */
export const repairStore = async (parts: StoreParts, signal?: AbortSignal): Promise<StoreRepair> => {
  await refuseWhileBusy(parts.root);
  const repaired: string[] = [];
  const removed: string[] = [];
  // What is lost takes others with it, a layer its images, an image its names, and what is made again mends them: one kind at a time.
  for (let faults = await verifyStore(parts, signal); faults.length > 0; faults = await verifyStore(parts, signal)) {
    for (const fault of faults.filter(({ kind }) => kind === faults[0]?.kind)) {
      signal?.throwIfAborted();
      if (await remake(parts, fault, signal)) {
        repaired.push(`${fault.kind} ${fault.name}`);
      } else {
        removed.push(await remove(parts, fault));
      }
    }
  }
  await collectGarbage(parts);
  return { repaired, removed };
};

/** Whether it could be made again. */
const remake = async (parts: StoreParts, { kind, name }: StoreFault, signal: AbortSignal | undefined): Promise<boolean> => {
  try {
    if (kind === 'layer') {
      await parts.layers.remake(name, signal);
      await checkLayer(parts, name, signal);
      return true;
    }
    if (kind === 'image') {
      return await remakeRecord(parts, name);
    }
    // It is made again when it is needed.
    if (kind === 'root disk') {
      await parts.disks.remove(name);
      return true;
    }
    return false;
  } catch (error) {
    damageOf(error);
    return false;
  }
};

/** The record of an image, from its config and the manifest that names that. */
const remakeRecord = async (parts: StoreParts, id: string): Promise<boolean> => {
  for (const digest of await parts.records.blobs()) {
    const blob = await parts.records.readBlob(digest).catch(() => undefined);
    if (blob !== undefined && configOf(blob) === id) {
      await parts.records.writeImage(await describeImage(parts, id, digest));
      return true;
    }
  }
  return false;
};

const configOf = (blob: Buffer): unknown => {
  try {
    return (JSON.parse(blob.toString()) as { config?: { digest?: unknown } } | null)?.config?.digest;
  } catch {
    return undefined;
  }
};

/** Removes a part; returns what it was. */
const remove = async ({ records, layers }: StoreParts, { kind, name }: StoreFault): Promise<string> => {
  if (kind === 'blob') {
    await records.removeBlob(name);
  } else if (kind === 'layer') {
    await layers.remove(name);
  } else if (kind === 'image') {
    await records.removeImage(name);
  } else {
    const record = await records.readReferenceFile(name).catch(() => undefined);
    await records.removeReferenceFile(name);
    return typeof record?.reference === 'string' ? `name ${familiarOr(record.reference)}` : 'a name that cannot be read';
  }
  return `${kind} ${name}`;
};

const familiarOr = (reference: string): string => {
  try {
    return familiarReference(parseReference(reference));
  } catch {
    return reference;
  }
};
