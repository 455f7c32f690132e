import type { ByteString } from '../../base/tar/block.ts';
import { layerError } from './layer-format.ts';
import type { TarEntry } from './tar-scanner.ts';

export interface LayerLimits {
  /** Entries, including implied folders. */
  readonly entries: number;
  /** Bytes of a path, and of a link's target. */
  readonly path: number;
  /** Nesting depth of folders. */
  readonly depth: number;
  /** Bytes of all files, sparse ones expanded. */
  readonly bytes: number;
  /** Bytes of all extended attributes. */
  readonly xattrs: number;
}

const MAX_NAME = 255;

/** Counts a layer's entries and checks its paths. Throws IMAGE_LAYER beyond the limits. */
export class LimitChecker {
  readonly #limits: LayerLimits;
  #count = 0;
  #bytes = 0;
  #xattrs = 0;

  constructor(limits: LayerLimits) {
    this.#limits = limits;
  }

  countEntry(entry: TarEntry): void {
    this.#bytes += entry.size;
    for (const [key, value] of entry.xattrs) {
      this.#xattrs += key.length + value.length;
    }
    this.countNode();
  }

  /** Counts a node that takes memory but has no entry of its own. */
  countNode(): void {
    this.#count += 1;
    const { entries, bytes, xattrs } = this.#limits;
    if (this.#count > entries || this.#bytes > bytes || this.#xattrs > xattrs) {
      throw layerError(`it is too large (${this.#count} entries, ${this.#bytes} bytes when unpacked)`);
    }
  }

  checkPath(path: ByteString): void {
    if (path.length > this.#limits.path) {
      throw layerError(`a path has ${path.length} bytes`);
    }
  }

  /** The names in a path from the root on; `..` stops at the root. */
  split(path: ByteString): ByteString[] {
    this.checkPath(path);
    const parts: ByteString[] = [];
    for (const part of path.split('/')) {
      if (part === '..') {
        parts.pop();
      } else if (isStep(part)) {
        parts.push(part);
      }
    }
    if (parts.length > this.#limits.depth) {
      throw layerError(`folders are nested ${parts.length} deep`);
    }
    parts.forEach(checkName);
    return parts;
  }
}

export const isStep = (part: ByteString): boolean => part !== '' && part !== '.';

export const checkName = (name: ByteString): void => {
  if (name.length > MAX_NAME || name.includes('\0')) {
    throw layerError(`a name has ${name.length} bytes`);
  }
};
