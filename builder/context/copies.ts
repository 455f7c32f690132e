import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { diskError } from '../../base/host/files.ts';
import { stagingName } from '../../base/host/staging.ts';

export interface FileCopy {
  readonly file: string;
  /** sha256 of its bytes, hex. */
  readonly digest: string;
}

/** Copies of files that change while a build reads them, so that what is hashed of one is what is copied of it. */
export class FileCopies {
  readonly #folder: string;
  readonly #pending = new WeakMap<object, Promise<FileCopy>>();
  readonly #ready = new WeakMap<object, FileCopy>();
  readonly #files: string[] = [];

  constructor(stagingFolder: string) {
    this.#folder = stagingFolder;
  }

  /** The copy of this state of a file, if one was made. */
  get(state: object): FileCopy | undefined {
    return this.#ready.get(state);
  }

  /** Makes the copy of this state of a file, once. */
  async make(state: object, read: () => AsyncIterable<Uint8Array>): Promise<FileCopy> {
    const known = this.#pending.get(state) ?? this.#copy(read);
    this.#pending.set(state, known);
    const copy = await known;
    this.#ready.set(state, copy);
    return copy;
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.splice(0).map((file) => rm(file, { force: true })));
  }

  async #copy(read: () => AsyncIterable<Uint8Array>): Promise<FileCopy> {
    const file = join(this.#folder, stagingName('copy'));
    const hash = createHash('sha256');
    this.#files.push(file);
    const hashed = async function* () {
      for await (const chunk of read()) {
        hash.update(chunk);
        yield chunk;
      }
    };
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await pipeline(hashed, createWriteStream(file, { flags: 'wx', mode: 0o600 }));
    } catch (error) {
      throw diskError(error, file);
    }
    return { file, digest: hash.digest('hex') };
  }
}
