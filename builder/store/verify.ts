import { createHash } from 'node:crypto';
import { messageOf } from '../../base/errors.ts';
import { readErofs } from './erofs.ts';
import type { StoreParts } from './parts.ts';

/**
 * Checks the whole store: blobs against their digests, layers by rebuilding their original tars, indexes and disks by
 * their layout, and that everything a record refers to exists.
 */
export const verifyStore = async ({ records, layers, disks }: StoreParts, signal?: AbortSignal): Promise<string[]> => {
  const faults: string[] = [];
  const check = async (what: string, work: () => Promise<unknown>) => {
    signal?.throwIfAborted();
    try {
      await work();
    } catch (error) {
      faults.push(`${what}: ${messageOf(error)}`);
    }
  };
  for (const digest of await records.blobs()) {
    await check(`blob ${digest}`, () => records.readBlob(digest));
  }
  for (const { diffId } of await layers.list()) {
    await check(`layer ${diffId}`, async () => {
      await readErofs(layers.index(diffId));
      const found = await hashOf(layers.original(diffId), signal);
      if (found !== diffId) {
        throw new Error(`its archive has the digest ${found}`);
      }
    });
  }
  for (const id of await records.imageIds()) {
    await check(`image ${id}`, async () => {
      const image = await records.readImage(id);
      for (const digest of image === undefined ? [] : [image.id, image.manifestDigest]) {
        await records.readBlob(digest);
      }
      for (const diffId of image?.layers ?? []) {
        await layers.need(diffId);
      }
    });
  }
  for (const { reference, imageId } of await records.references()) {
    await check(reference, async () => {
      if ((await records.readImage(imageId)) === undefined) {
        throw new Error(`its image ${imageId} is not in the store`);
      }
    });
  }
  faults.push(...(await disks.faults()));
  return faults;
};

const hashOf = async (stream: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Promise<string> => {
  const hash = createHash('sha256');
  for await (const chunk of stream) {
    signal?.throwIfAborted();
    hash.update(chunk);
  }
  return `sha256:${hash.digest('hex')}`;
};
