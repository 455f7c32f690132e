import { BLOCK, hasValidChecksum, isZeroBlock, padding, textAt } from '../../base/tar/block.ts';
import { parsePax } from '../../base/tar/pax.ts';
import { layerError, layerNumber } from './layer-format.ts';
import { gnuPieces, MAX_PIECES, type SparsePiece } from './sparse.ts';
import { decodeEntry, noExtensions, type TarEntry } from './tar-entry.ts';

export type { TarEntry } from './tar-entry.ts';

export interface TarLimits {
  /** Bytes of one extended header. */
  readonly extension: number;
  /** Bytes of one file. */
  readonly fileSize: number;
}

/**
 * Walks a tar that is pushed in chunks of any size: 512-byte headers are looked at, content is only
 * counted. Understands v7, ustar, PAX, GNU long names and sparse files. Throws IMAGE_LAYER.
 */
export class TarScanner {
  /** Where the end mark starts, or the end of the archive if it has none. */
  end = 0;
  #position = 0;
  #skip = 0;
  #need = BLOCK;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #state: 'header' | 'extension' | 'sparse' | 'done' = 'header';
  #extensionFlag = '';
  #extensions = noExtensions();
  #sparse: { header: Buffer; pieces: SparsePiece[] } | undefined;
  #inEntry = false;
  /** Offset of the entry being read. */
  #start: number | undefined;

  constructor(
    private readonly onEntry: (entry: TarEntry) => void,
    private readonly limits: TarLimits,
  ) {}

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.#state !== 'done'; ) {
      if (this.#skip > 0) {
        const count = Math.min(this.#skip, chunk.length - at);
        this.#skip -= count;
        this.#position += count;
        at += count;
        continue;
      }
      const count = Math.min(this.#need - this.#heldBytes, chunk.length - at);
      const part = chunk.subarray(at, at + count);
      at += count;
      this.#position += count;
      if (count === this.#need) {
        this.#take(part);
      } else {
        // The caller may reuse the chunk's memory.
        this.#held.push(Buffer.from(part));
        this.#heldBytes += count;
        if (this.#heldBytes === this.#need) {
          const whole = Buffer.concat(this.#held);
          this.#held = [];
          this.#heldBytes = 0;
          this.#take(whole);
        }
      }
    }
  }

  /** Continues at the start of an entry, at any offset. */
  restart(position: number): void {
    this.#position = position;
    this.#skip = 0;
  }

  /** How many of the next bytes are content. A caller that reads a file may skip them, and must then not push them. */
  skipAhead(): number {
    const skipped = this.#skip;
    this.#skip = 0;
    this.#position += skipped;
    return skipped;
  }

  get isDone(): boolean {
    return this.#state === 'done';
  }

  /** To be called after the last chunk. An archive that ends within an entry is damaged; a missing end mark is accepted. */
  finish(): void {
    if (this.#state === 'done') {
      return;
    }
    if (this.#skip > 0 || this.#heldBytes > 0 || this.#state !== 'header' || this.#inEntry) {
      throw layerError('it ends in the middle of an entry');
    }
    this.end = this.#position;
  }

  #take(block: Buffer): void {
    if (this.#state === 'extension') {
      this.#takeExtension(block);
    } else if (this.#state === 'sparse') {
      this.#takeSparse(block);
    } else if (isZeroBlock(block)) {
      this.end = this.#position - BLOCK;
      this.#state = 'done';
    } else {
      this.#takeHeader(block);
    }
  }

  #takeHeader(block: Buffer): void {
    if (!hasValidChecksum(block, layerError)) {
      throw layerError('a tar header has a wrong checksum');
    }
    const flag = String.fromCharCode(block[156] ?? 0);
    if ('xgLK'.includes(flag)) {
      const size = layerNumber(block, 124, 12);
      if (size < 0 || size > this.limits.extension) {
        throw layerError(`an extended header has ${size} bytes`);
      }
      this.#inEntry = flag !== 'g';
      if (flag !== 'g') {
        this.#start ??= this.#position - BLOCK;
      }
      this.#extensionFlag = flag;
      // An extension header without content has no block to wait for.
      if (size > 0) {
        this.#state = 'extension';
        this.#need = size + padding(size);
        this.#extensionSize = size;
      }
      return;
    }
    this.#start ??= this.#position - BLOCK;
    if (flag === 'S' && block[482] !== 0) {
      this.#sparse = { header: Buffer.from(block), pieces: gnuPieces(block, 386, 4) };
      this.#state = 'sparse';
      return;
    }
    this.#emit(block, flag === 'S' ? gnuPieces(block, 386, 4) : undefined);
  }

  #extensionSize = 0;

  #takeExtension(padded: Buffer): void {
    const data = padded.subarray(0, this.#extensionSize);
    this.#state = 'header';
    this.#need = BLOCK;
    switch (this.#extensionFlag) {
      case 'x':
        this.#extensions.pax.push(...parsePax(data, layerError));
        break;
      case 'L':
        this.#extensions.longName = textAt(data, 0, data.length);
        break;
      case 'K':
        this.#extensions.longLink = textAt(data, 0, data.length);
        break;
      default:
        // Global PAX headers are not applied to entries; docker and containerd do not apply them either.
        this.leftOut = true;
    }
  }

  /** Whether something is left out of the normal form: a global header, a socket, a volume label. */
  leftOut = false;

  #takeSparse(block: Buffer): void {
    const sparse = this.#sparse;
    if (sparse === undefined) {
      return;
    }
    for (const piece of gnuPieces(block, 0, 21)) {
      sparse.pieces.push(piece);
    }
    if (sparse.pieces.length > MAX_PIECES) {
      throw layerError('a sparse file has too many pieces');
    }
    if (block[504] === 0) {
      this.#state = 'header';
      this.#sparse = undefined;
      this.#emit(sparse.header, sparse.pieces);
    }
  }

  #emit(block: Buffer, pieces: readonly SparsePiece[] | undefined): void {
    const extensions = this.#extensions;
    this.#extensions = noExtensions();
    this.#inEntry = false;
    const entry = decodeEntry(block, extensions, { pieces, start: this.#start ?? 0, data: this.#position });
    this.#start = undefined;
    if (entry.size > this.limits.fileSize || entry.stored > this.limits.fileSize) {
      throw layerError(`${entry.path} has ${entry.size} bytes`);
    }
    this.#skip = entry.stored + padding(entry.stored);
    if (entry.type === 'skip') {
      this.leftOut = true;
    } else {
      this.onEntry(entry as TarEntry);
    }
  }
}
