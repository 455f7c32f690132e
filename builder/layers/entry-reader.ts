import { BLOCK } from '../../base/tar/block.ts';
import type { ReadAhead } from './pieces.ts';
import { type TarEntry, type TarLimits, TarScanner } from './tar-scanner.ts';

/** Reads entries of an archive on disk a second time, one by one: the scan does not keep their headers. */
export class EntryReader {
  readonly #input: ReadAhead;
  readonly #scanner: TarScanner;
  #found: TarEntry | undefined;

  constructor(input: ReadAhead, limits: TarLimits) {
    this.#input = input;
    this.#scanner = new TarScanner((entry) => {
      this.#found = entry;
    }, limits);
  }

  /** The entry whose first header block is at `start`. */
  async read(start: number): Promise<TarEntry> {
    this.#found = undefined;
    this.#scanner.restart(start);
    for (let at = start; this.#found === undefined; ) {
      const piece = this.#input.peek(at, BLOCK) ?? (await this.#input.load(at, BLOCK));
      this.#scanner.push(piece);
      at += piece.length;
    }
    return this.#found;
  }
}
