import type { FileHandle } from 'node:fs/promises';

const CHUNK = 1024 * 1024;
const FIRST = 32 * 1024;

/**
 * Reads a file ahead: hundreds of thousands of small adjacent pieces cost one read per megabyte instead of one each, and
 * pieces that are far apart do not cost a megabyte each.
 */
export class ReadAhead {
  readonly #buffer = Buffer.alloc(CHUNK);
  #start = 0;
  #length = 0;
  #ahead = FIRST;

  constructor(
    private readonly file: FileHandle,
    /** The error to throw when the file ends before a position. */
    private readonly ended: (position: number) => Error,
  ) {}

  /** At most `limit` bytes from a position on, if they have been read; valid until the next `load`. */
  peek(position: number, limit: number): Buffer | undefined {
    const offset = position - this.#start;
    return offset >= 0 && offset < this.#length ? this.#buffer.subarray(offset, Math.min(this.#length, offset + limit)) : undefined;
  }

  async load(position: number, limit: number): Promise<Buffer> {
    const goesOn = position === this.#start + this.#length;
    this.#ahead = goesOn ? Math.min(CHUNK, 4 * this.#ahead) : FIRST;
    const { bytesRead } = await this.file.read(this.#buffer, 0, this.#ahead, position);
    if (bytesRead === 0) {
      throw this.ended(position);
    }
    this.#start = position;
    this.#length = bytesRead;
    return this.#buffer.subarray(0, Math.min(bytesRead, limit));
  }
}

/** Copies small pieces into blocks, which the caller of `takeFull` or `takeAll` may keep. */
export class Blocks {
  #block = Buffer.allocUnsafe(CHUNK);
  #used = 0;
  #full: Buffer[] = [];

  push(data: Uint8Array): void {
    for (let at = 0; at < data.length; ) {
      const count = Math.min(data.length - at, CHUNK - this.#used);
      this.#block.set(at === 0 && count === data.length ? data : data.subarray(at, at + count), this.#used);
      this.#used += count;
      at += count;
      if (this.#used === CHUNK) {
        this.#full.push(this.#block);
        this.#block = Buffer.allocUnsafe(CHUNK);
        this.#used = 0;
      }
    }
  }

  get hasFull(): boolean {
    return this.#full.length > 0;
  }

  /** The blocks that are full. */
  takeFull(): Buffer[] {
    const full = this.#full;
    this.#full = [];
    return full;
  }

  /** Everything. */
  takeAll(): Buffer[] {
    const all = [...this.takeFull(), this.#block.subarray(0, this.#used)];
    this.#block = Buffer.allocUnsafe(CHUNK);
    this.#used = 0;
    return all.filter(({ length }) => length > 0);
  }
}
