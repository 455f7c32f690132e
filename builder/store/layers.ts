import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { diskError, syncFile, syncFolder, writeFileAtomic } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import { stagingName } from '../../base/host/staging.ts';
import type { Tool } from '../../vmm/model/tools.ts';
import { normaliseLayer } from '../layers/normalise.ts';
import { replayRecipe } from '../layers/recipe.ts';
import { indexLayer } from './erofs.ts';
import { digestHex } from './format/digest.ts';
import type { Descriptor } from './format/manifest.ts';
import { readRecord, type Shape } from './record-file.ts';
import { sealFolder } from './seal.ts';
import { makeStagingFolder } from './tmp.ts';

export interface LayerRecord {
  readonly diffId: string;
  /** Bytes of the original, uncompressed tar. */
  readonly size: number;
  readonly opaqueRoot: boolean;
  /** Folders without an entry of their own, whose attributes come from lower layers; byte strings. */
  readonly implied: readonly string[];
}

const LAYER: Shape = { diffId: 'string', size: 'number', opaqueRoot: 'boolean', implied: 'list' };

/** A compressed form of a layer, as a manifest's descriptor names it. */
export type LayerBlob = Pick<Descriptor, 'digest' | 'size'>;

export interface AddLayerOptions {
  /**
   * A compressed form that is claimed to contain this stream. Unless that was verified before, the stream is read even
   * if the layer exists.
   */
  readonly blob?: LayerBlob | undefined;
  /** Throws IMAGE_CORRUPT when the uncompressed stream has another digest. Two processes that add the same layer do the work once. */
  readonly expectedDiffId?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Layers of the store: `layers/<hex of the diff id>/{layer.tar,index.erofs,recipe.gz,layer.json}`; a folder that exists is complete. */
export class Layers {
  constructor(
    private readonly root: string,
    private readonly mkfs: Tool,
  ) {}

  folder(diffId: string): string {
    return join(this.root, 'layers', digestHex(diffId));
  }

  tar(diffId: string): string {
    return join(this.folder(diffId), 'layer.tar');
  }

  index(diffId: string): string {
    return join(this.folder(diffId), 'index.erofs');
  }

  /** The record of a layer, undefined if there is none; marks the layer as used now, so that gc keeps it. */
  async use(diffId: string): Promise<LayerRecord | undefined> {
    const path = join(this.folder(diffId), 'layer.json');
    try {
      const now = new Date();
      await utimes(path, now, now);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) {
        return undefined;
      }
      throw error;
    }
    return await readRecord<LayerRecord>(path, LAYER);
  }

  /** The record of a layer, without marking it as used. */
  async peek(diffId: string): Promise<LayerRecord | undefined> {
    return await readRecord<LayerRecord>(join(this.folder(diffId), 'layer.json'), LAYER);
  }

  async need(diffId: string): Promise<LayerRecord> {
    const record = await this.use(diffId);
    if (record === undefined) {
      throw new HyprError('IMAGE_CORRUPT', `the layer ${diffId} is not in the store`, { hint: 'pull or build the image again' });
    }
    return record;
  }

  /** See ImageStore.addLayer. */
  async add(tar: () => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>, options: AddLayerOptions): Promise<LayerRecord> {
    const { expectedDiffId, signal } = options;
    if (expectedDiffId === undefined) {
      return this.#make(await tar(), options);
    }
    const lock = join(this.root, 'locks', `layer-${digestHex(expectedDiffId)}.lock`);
    return withLock(
      lock,
      { what: `the layer ${expectedDiffId.slice(0, 19)}`, timeout: 3_600_000, ...(signal ? { signal } : {}) },
      async () => {
        return this.#takeOrMake(expectedDiffId, tar, options);
      },
    );
  }

  /** Called under the layer's lock. A compressed form that was verified once is not verified again. */
  async #takeOrMake(diffId: string, tar: () => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>, options: AddLayerOptions) {
    const { blob, signal } = options;
    const present = await this.use(diffId);
    if (present !== undefined && (blob === undefined || (await this.#isKnown(present, blob)))) {
      return present;
    }
    if (present !== undefined) {
      await requireDigest(await tar(), diffId, signal);
    }
    const record = present ?? (await this.#make(await tar(), options));
    if (blob !== undefined) {
      await this.remember(diffId, blob);
    }
    return record;
  }

  async #isKnown({ diffId, size }: LayerRecord, blob: LayerBlob): Promise<boolean> {
    // An uncompressed blob: its digest is the diff id, which was verified when the layer was added.
    const known = blob.digest === diffId ? [{ digest: diffId, size }] : await this.blobs(diffId);
    return known.some((each) => each.digest === blob.digest && each.size === blob.size);
  }

  /** Compressed forms of a layer that are known, newest first. */
  async blobs(diffId: string): Promise<readonly LayerBlob[]> {
    return (await readRecord<readonly LayerBlob[]>(join(this.folder(diffId), BLOBS), {})) ?? [];
  }

  /** Records a compressed form of an existing layer that was verified. */
  async remember(diffId: string, { digest, size }: LayerBlob): Promise<void> {
    const known = await this.blobs(diffId);
    if (digest !== diffId && !known.some((each) => each.digest === digest)) {
      const newest = [blobOf({ digest, size }), ...known].slice(0, MAX_BLOBS);
      await writeFileAtomic(join(this.folder(diffId), BLOBS), JSON.stringify(newest), { stagingFolder: join(this.root, 'tmp') });
    }
  }

  async #make(
    tar: AsyncIterable<Uint8Array>,
    { expectedDiffId, blob, signal }: AddLayerOptions,
    publish = (staging: string, diffId: string) => this.#publish(staging, diffId),
  ): Promise<LayerRecord> {
    const staging = await makeStagingFolder(this.root, 'layer');
    try {
      const { diffId, size, opaqueRoot, implied } = await normaliseLayer(tar, { folder: staging.path, expectedDiffId, signal });
      const index = join(staging.path, 'index.erofs');
      await indexLayer(this.mkfs, { tar: join(staging.path, 'layer.tar'), index, uuid: uuidFor(diffId), signal });
      await syncFile(index);
      const record: LayerRecord = { diffId, size, opaqueRoot, implied };
      await writeFileAtomic(join(staging.path, 'layer.json'), JSON.stringify(record));
      await sealFolder(staging.path, ['index.erofs', 'layer.json']);
      // The whole stream was read and its digest checked, so the compressed form is recorded together with the layer.
      if (blob !== undefined && blob.digest !== diffId) {
        await writeFileAtomic(join(staging.path, BLOBS), JSON.stringify([blobOf(blob)]));
      }
      await publish(staging.path, diffId);
      return record;
    } catch (error) {
      throw diskError(error, this.root);
    } finally {
      await staging.remove();
    }
  }

  async #publish(staging: string, diffId: string): Promise<void> {
    const folder = this.folder(diffId);
    await mkdir(join(this.root, 'layers'), { recursive: true, mode: 0o700 });
    try {
      await rename(staging, folder);
    } catch (error) {
      if (!isErrno(error, 'ENOTEMPTY', 'EEXIST')) {
        throw error;
      }
      // Another process added the same layer meanwhile.
      await this.use(diffId);
      return;
    }
    await syncFolder(join(this.root, 'layers'));
  }

  /** Makes a layer again from its original archive, if that can still be rebuilt. Throws IMAGE_CORRUPT when it cannot. */
  async remake(diffId: string, signal: AbortSignal | undefined): Promise<void> {
    await this.#make(this.original(diffId), { expectedDiffId: diffId, signal }, async (staging) => {
      await this.remove(diffId);
      await this.#publish(staging, diffId);
    });
  }

  /** The original tar, byte for byte; its sha256 is the diff id. */
  original(diffId: string): AsyncIterable<Buffer> {
    return replayRecipe(join(this.folder(diffId), 'recipe.gz'), this.tar(diffId));
  }

  /** Diff ids of all folders, complete or not. */
  async folders(): Promise<string[]> {
    return (await readdir(join(this.root, 'layers'))).filter((name) => NAME.test(name)).map((name) => `sha256:${name}`);
  }

  /** All layers; one that is removed meanwhile is left out. */
  async list(): Promise<Array<{ diffId: string; usedAt: number }>> {
    const found: Array<{ diffId: string; usedAt: number }> = [];
    for (const name of await readdir(join(this.root, 'layers'))) {
      const info = await stat(join(this.root, 'layers', name, 'layer.json')).catch(noEntry);
      if (info !== undefined && NAME.test(name)) {
        found.push({ diffId: `sha256:${name}`, usedAt: info.mtimeMs });
      }
    }
    return found;
  }

  /** Renames the folder first, so that a removal that is interrupted does not leave a partial layer. */
  async remove(diffId: string): Promise<void> {
    const gone = join(this.root, 'tmp', stagingName('gone'));
    await rename(this.folder(diffId), gone);
    await rm(gone, { recursive: true, force: true });
  }
}

/** Next to a layer: its compressed forms, newest first; each compressor makes a different one. */
const BLOBS = 'blobs.json';
const MAX_BLOBS = 16;

const blobOf = ({ digest, size }: LayerBlob): LayerBlob => ({ digest, size });

const requireDigest = async (tar: AsyncIterable<Uint8Array>, diffId: string, signal: AbortSignal | undefined): Promise<void> => {
  const hash = createHash('sha256');
  for await (const chunk of tar) {
    signal?.throwIfAborted();
    hash.update(chunk);
  }
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== diffId) {
    throw new HyprError('IMAGE_CORRUPT', `a layer has the digest ${found} instead of ${diffId}`, {
      hint: 'the manifest and the config of the image do not match: its author has to push it again',
    });
  }
};

const NAME = /^[0-9a-f]{64}$/;

const noEntry = (error: unknown): undefined => {
  if (!isErrno(error, 'ENOENT', 'ENOTDIR')) {
    throw error;
  }
};

const uuidFor = (diffId: string): string => {
  const hex = digestHex(diffId);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
};
