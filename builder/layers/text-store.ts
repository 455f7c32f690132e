import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import type { ByteString } from '../../base/tar/block.ts';
import { layerError } from './layer-format.ts';

const PAGE = 256 * 1024;
/** Pages in memory: 24 MiB, the names of a million files or two. */
const PAGES = 96;
const LENGTH_BYTES = 2;
const MAX_REFERENCE = 2 ** 32;

/**
 * Names and link targets of any number of files in bounded memory: further pages go to a file, which is created when it
 * is needed and removed by `close`. Texts are byte strings of less than 64 KiB.
 */
export class TextStore {
  readonly #path: string;
  readonly #pagesInMemory: number;
  /** In the order they were loaded; the first is evicted next. */
  readonly #pages = new Map<number, Buffer>();
  readonly #saved = new Set<number>();
  #last = 0;
  #used = 0;
  #file: number | undefined;

  constructor(path: string, pagesInMemory: number = PAGES) {
    this.#path = path;
    this.#pagesInMemory = pagesInMemory;
    this.#keep(0, Buffer.allocUnsafe(PAGE));
  }

  /** Stores a text and returns the 32-bit number by which `get` returns it. */
  add(text: ByteString): number {
    const bytes = LENGTH_BYTES + text.length;
    if (this.#used + bytes > PAGE) {
      this.#last += 1;
      this.#used = 0;
      this.#keep(this.#last, Buffer.allocUnsafe(PAGE));
    }
    const page = this.#page(this.#last);
    const reference = this.#last * PAGE + this.#used;
    if (reference + bytes > MAX_REFERENCE) {
      throw layerError('its names and links are too long');
    }
    page.writeUInt16LE(text.length, this.#used);
    page.write(text, this.#used + LENGTH_BYTES, 'latin1');
    this.#used += bytes;
    return reference;
  }

  get(reference: number): ByteString {
    const page = this.#page(Math.floor(reference / PAGE));
    const at = reference % PAGE;
    return page.toString('latin1', at + LENGTH_BYTES, at + LENGTH_BYTES + page.readUInt16LE(at));
  }

  close(): void {
    if (this.#file !== undefined) {
      closeSync(this.#file);
      rmSync(this.#path, { force: true });
      this.#file = undefined;
    }
  }

  #page(index: number): Buffer {
    const known = this.#pages.get(index);
    if (known !== undefined) {
      return known;
    }
    const page = Buffer.allocUnsafe(PAGE);
    if (this.#file === undefined || readSync(this.#file, page, 0, PAGE, index * PAGE) !== PAGE) {
      throw new Error(`${this.#path} has no page ${index}`);
    }
    this.#keep(index, page);
    return page;
  }

  /** Keeps a page in memory; evicts another one, but never the one being filled. */
  #keep(index: number, page: Buffer): void {
    this.#pages.set(index, page);
    for (const [other, full] of this.#pages) {
      if (this.#pages.size <= this.#pagesInMemory) {
        return;
      }
      if (other !== this.#last && other !== index) {
        this.#save(other, full);
        this.#pages.delete(other);
      }
    }
  }

  #save(index: number, page: Buffer): void {
    if (this.#saved.has(index)) {
      return;
    }
    this.#file ??= openSync(this.#path, 'wx+', 0o600);
    for (let at = 0; at < PAGE; ) {
      at += writeSync(this.#file, page, at, PAGE - at, index * PAGE + at);
    }
    this.#saved.add(index);
  }
}
