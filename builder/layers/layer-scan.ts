import type { FileHandle } from 'node:fs/promises';
import { neverAborts } from '../../base/abort.ts';
import { Slots } from '../model/slots.ts';
import type { LayerModel } from './layer-model.ts';
import type { TarScanner } from './tar-scanner.ts';

const CHUNK = 1024 * 1024;
/** Only one large layer is scanned at a time in this process. */
const large = new Slots(1);

/**
 * Scans a layer while it arrives. Memory grows with the number of files, so only one large layer is scanned at a time:
 * scanning of another one pauses once it has become large, and continues from disk when it is its turn.
 */
export class LayerScan {
  readonly #scanner: TarScanner;
  readonly #model: LayerModel;
  readonly #largeFrom: number;
  /** Bytes scanned so far; what arrived after that is read from disk later. */
  #seen = 0;
  #isBehind = false;
  #hasTurn = false;

  /** `largeFrom`: the number of files and folders from which a layer counts as large. */
  constructor(scanner: TarScanner, model: LayerModel, largeFrom: number) {
    this.#scanner = scanner;
    this.#model = model;
    this.#largeFrom = largeFrom;
  }

  push(chunk: Buffer): void {
    this.#isBehind ||= this.#isLarge && !this.#takeTurn();
    if (!this.#isBehind) {
      this.#scanner.push(chunk);
      this.#seen += chunk.length;
    }
  }

  /** To be called when the whole layer, of `size` bytes, is on disk. */
  async finish(file: FileHandle, size: number, signal?: AbortSignal): Promise<void> {
    if (this.#isBehind) {
      await large.acquire(signal ?? neverAborts());
      this.#hasTurn = true;
    }
    const buffer = Buffer.allocUnsafe(this.#seen < size ? CHUNK : 0);
    while (this.#seen < size) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, CHUNK, this.#seen);
      if (bytesRead === 0) {
        throw new Error(`the spooled layer ended at ${this.#seen} of ${size}`);
      }
      this.#scanner.push(buffer.subarray(0, bytesRead));
      this.#seen += bytesRead;
    }
    this.#scanner.finish();
  }

  /** Lets the next large layer continue; to be called when this layer's model is no longer needed. */
  close(): void {
    if (this.#hasTurn) {
      this.#hasTurn = false;
      large.release();
    }
  }

  get #isLarge(): boolean {
    return this.#model.nodes.size >= this.#largeFrom;
  }

  #takeTurn(): boolean {
    this.#hasTurn ||= large.tryAcquire();
    return this.#hasTurn;
  }
}
