import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { HyprError } from '../../../base/errors.ts';
import type { FileTree, TreeEntry } from '../../context/tree.ts';

/** A tree with one file in it, whose bytes lie somewhere on the host: what ADD downloaded. */
export class SingleFileTree implements FileTree {
  readonly #entry: TreeEntry;
  readonly #file: string;
  readonly #digest: string;

  constructor(options: { name: string; file: string; digest: string; size: number; mode: number; mtime: number }) {
    const { name, size, mode, mtime } = options;
    this.#file = options.file;
    this.#digest = options.digest;
    const plain = { uid: 0, gid: 0, link: '', deviceMajor: 0, deviceMinor: 0, xattrs: new Map<string, Buffer>(), identity: {} };
    this.#entry = { ...plain, path: name, type: 'file', mode, size, mtime };
  }

  get(path: string): TreeEntry | undefined {
    if (path === this.#entry.path) {
      return this.#entry;
    }
    return path === '' ? { ...this.#entry, path: '', type: 'dir', mode: 0o755, size: 0 } : undefined;
  }

  list(path: string): readonly string[] {
    return path === '' ? [this.#entry.path] : [];
  }

  /** Throws BUILD_FAILED at its end if the bytes are not those that were described. */
  async *read(): AsyncIterable<Uint8Array> {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(this.#file)) {
      hash.update(chunk);
      yield chunk;
    }
    if (hash.digest('hex') !== this.#digest) {
      throw new HyprError('BUILD_FAILED', `what was downloaded as ${this.#entry.path} is no longer what was checked`, {
        hint: 'build again',
      });
    }
  }

  digest(): Promise<string> {
    return Promise.resolve(this.#digest);
  }
}
