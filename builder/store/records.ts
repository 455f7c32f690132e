import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { exists, removeFile, writeFileAtomic } from '../../base/host/files.ts';
import { shortHash } from '../../base/paths.ts';
import type { Image } from '../model/types.ts';
import { digestHex, isDigest, ociDigest } from './format/digest.ts';
import { readRecord, type Shape } from './record-file.ts';

/** An image without its names. Names are files of their own, so that tagging never rewrites an image. */
export type ImageRecord = Omit<Image, 'references'>;

export interface ReferenceRecord {
  /** docker.io/library/nginx:1.26, or with @sha256:… instead of the tag. */
  readonly reference: string;
  readonly imageId: string;
  /** Digest of the Dockerfile whose build gave the image this name. */
  readonly dockerfile?: string;
}

const IMAGE: Shape = {
  id: 'string',
  manifestDigest: 'string',
  platform: 'string',
  created: 'number',
  size: 'number',
  config: 'object',
  layers: 'list',
};
const REFERENCE: Shape = { reference: 'string', imageId: 'string' };

/** The small files of a store: `images/<hex>.json`, `references/<hash>.json`, `blobs/<hex>` (configs and manifests). */
export class Records {
  constructor(private readonly root: string) {}

  async readImage(id: string): Promise<ImageRecord | undefined> {
    return readRecord<ImageRecord>(this.#imagePath(id), IMAGE);
  }

  async writeImage(record: ImageRecord): Promise<void> {
    await this.#write(this.#imagePath(record.id), JSON.stringify(record));
  }

  async removeImage(id: string): Promise<void> {
    await removeFile(this.#imagePath(id));
  }

  async imageIds(): Promise<string[]> {
    return (await readdir(join(this.root, 'images'))).flatMap((name) => {
      const hex = /^([0-9a-f]{64})\.json$/.exec(name)?.[1];
      return hex === undefined ? [] : [`sha256:${hex}`];
    });
  }

  async writeReference(record: ReferenceRecord): Promise<void> {
    await this.#write(this.#referencePath(record.reference), JSON.stringify(record));
  }

  async readReference(reference: string): Promise<ReferenceRecord | undefined> {
    return readRecord<ReferenceRecord>(this.#referencePath(reference), REFERENCE);
  }

  async removeReference(reference: string): Promise<void> {
    await removeFile(this.#referencePath(reference));
  }

  async references(): Promise<ReferenceRecord[]> {
    const records = await Promise.all((await this.referenceFiles()).map((name) => this.readReferenceFile(name)));
    return records.filter((record) => record !== undefined).sort((a, b) => (a.reference < b.reference ? -1 : 1));
  }

  /** The names of the files of references, which say nothing themselves. */
  async referenceFiles(): Promise<string[]> {
    return (await readdir(join(this.root, 'references'))).filter((name) => /^[0-9a-f]{32}\.json$/.test(name));
  }

  async readReferenceFile(file: string): Promise<ReferenceRecord | undefined> {
    return await readRecord<ReferenceRecord>(join(this.root, 'references', file), REFERENCE);
  }

  async removeReferenceFile(file: string): Promise<void> {
    await removeFile(join(this.root, 'references', file));
  }

  async writeBlob(data: Uint8Array): Promise<string> {
    const digest = ociDigest(data);
    if (!(await exists(this.#blobPath(digest)))) {
      await this.#write(this.#blobPath(digest), data);
    }
    return digest;
  }

  /** Throws IMAGE_CORRUPT if the blob is missing or does not match its digest. */
  async readBlob(digest: string): Promise<Buffer> {
    const data = await readFile(this.#blobPath(digest)).catch((error: unknown) => {
      if (isErrno(error, 'ENOENT')) {
        return undefined;
      }
      throw error;
    });
    if (data === undefined || ociDigest(data) !== digest) {
      throw new HyprError('IMAGE_CORRUPT', `the blob ${digest} ${data === undefined ? 'is not in the store' : 'is damaged'}`, {
        hint: 'mend the store with: hypr system check --repair; then pull or build the image again',
      });
    }
    return data;
  }

  async blobs(): Promise<string[]> {
    return (await readdir(join(this.root, 'blobs'))).map((name) => `sha256:${name}`).filter(isDigest);
  }

  async removeBlob(digest: string): Promise<void> {
    await rm(this.#blobPath(digest), { force: true });
  }

  /** Lets a later version of hypr tell how this store was written. */
  async writeFormat(): Promise<void> {
    const path = join(this.root, 'format.json');
    if (!(await exists(path))) {
      await this.#write(path, JSON.stringify({ version: 1 }));
    }
  }

  #write(path: string, data: string | Uint8Array): Promise<void> {
    return writeFileAtomic(path, data, { stagingFolder: join(this.root, 'tmp') });
  }

  #imagePath(id: string): string {
    return join(this.root, 'images', `${digestHex(id)}.json`);
  }

  #referencePath(reference: string): string {
    return join(this.root, 'references', referenceFile(reference));
  }

  #blobPath(digest: string): string {
    return join(this.root, 'blobs', digestHex(digest));
  }
}

/** The name of the file of a reference. */
export const referenceFile = (reference: string): string => `${shortHash(reference, 32)}.json`;
