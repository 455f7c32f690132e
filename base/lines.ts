export interface LineOptions {
  /** Maximum length of a line in bytes; without it, unlimited. */
  readonly most?: number;
  /** How to return a longer line: in pieces of that length (the default), or only its end. */
  readonly longer?: 'pieces' | 'end';
}

const NEWLINE = 10;
const NOTHING = Buffer.alloc(0);

/**
 * Splits a byte stream into lines, without their newlines. A chunk without a newline costs its own length only, not that
 * of everything buffered before.
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

  /** Bytes of the incomplete line. */
  get pending(): number {
    return this.#length;
  }

  /** Returns the lines that end in `data`. They may share its memory; the incomplete rest is copied. */
  push(data: Uint8Array): Buffer[] {
    return this.pushAt(data).map(({ line }) => line);
  }

  /** Like `push`; `end` is how many bytes of `data` are consumed up to and including the line's newline. */
  pushAt(data: Uint8Array): Array<{ readonly line: Buffer; readonly end: number }> {
    const lines: Array<{ readonly line: Buffer; readonly end: number }> = [];
    const add = (line: Buffer, left: Buffer) => lines.push({ line, end: data.byteLength - left.length });
    let rest = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    for (let end = rest.indexOf(NEWLINE); ; end = rest.indexOf(NEWLINE)) {
      const room = this.#most - this.#length;
      const length = end < 0 ? rest.length : end;
      if (length > room && this.#keepsEnd) {
        const kept = this.#take(rest.subarray(0, length)).subarray(-this.#most);
        this.#hold(kept);
        rest = rest.subarray(length);
      } else if (length > room) {
        const piece = this.#take(rest.subarray(0, room));
        rest = rest.subarray(room);
        add(piece, rest);
      } else if (end < 0) {
        break;
      } else {
        const line = this.#take(rest.subarray(0, end));
        rest = rest.subarray(end + 1);
        add(line, rest);
      }
    }
    this.#hold(rest);
    return lines;
  }

  /** The last line, if it has no newline. */
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
