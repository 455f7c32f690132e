export interface LineOptions {
  /** Most bytes of a line. Without it, lines have no limit. */
  readonly most?: number;
  /** Of a longer line: pieces of that length (the default), or only its end. */
  readonly longer?: 'pieces' | 'end';
}

const NEWLINE = 10;
const NOTHING = Buffer.alloc(0);

/**
 * Cuts bytes that come in pieces into lines, without their newlines. A piece without a newline costs its own length,
 * not that of all that came before.
 */
export class LineSplitter {
  readonly #most: number;
  readonly #keepsEnd: boolean;
  #parts: Buffer[] = [];
  #length = 0;

  constructor({ most = Number.POSITIVE_INFINITY, longer = 'pieces' }: LineOptions = {}) {
    this.#most = most;
    this.#keepsEnd = longer === 'end';
  }

  /** Bytes of the line that has not ended yet. */
  get pending(): number {
    return this.#length;
  }

  /** The lines that end in `data`. They may share its memory; what is kept for later is copied. */
  push(data: Uint8Array): Buffer[] {
    const lines: Buffer[] = [];
    let rest = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    for (let end = rest.indexOf(NEWLINE); ; end = rest.indexOf(NEWLINE)) {
      const room = this.#most - this.#length;
      const length = end < 0 ? rest.length : end;
      if (length > room && this.#keepsEnd) {
        const kept = this.#take(rest.subarray(0, length)).subarray(-this.#most);
        this.#hold(kept);
        rest = rest.subarray(length);
      } else if (length > room) {
        lines.push(this.#take(rest.subarray(0, room)));
        rest = rest.subarray(room);
      } else if (end < 0) {
        break;
      } else {
        lines.push(this.#take(rest.subarray(0, end)));
        rest = rest.subarray(end + 1);
      }
    }
    this.#hold(rest);
    return lines;
  }

  /** The last line, if it had no newline. */
  flush(): Buffer[] {
    return this.#length === 0 ? [] : [this.#take(NOTHING)];
  }

  #hold(part: Buffer): void {
    if (part.length > 0) {
      this.#parts.push(Buffer.from(part));
      this.#length += part.length;
    }
  }

  #take(last: Buffer): Buffer {
    const line = this.#parts.length === 0 ? last : Buffer.concat([...this.#parts, last]);
    this.#parts = [];
    this.#length = 0;
    return line;
  }
}
