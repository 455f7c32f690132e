import { Duplex } from 'node:stream';

/** The most bytes of one record. */
export const CHUNK = 16_384;
export const NOTHING = Buffer.alloc(0);
const WINDOW = 65_536;
/** What a guest may send of a connection before the reader has taken it; one that sends more loses the connection. */
const SEND_WINDOW = 262_144;
/** The guest is told what was taken when it is this much. */
const ACK_EVERY = 65_536;

interface Line {
  send(data: Uint8Array): Promise<void>;
  /** So many bytes more have been read. */
  took(bytes: number): void;
}

/** One connection of a program in the guest. Bytes that the other side has not passed on yet count against a window. */
export class Connection extends Duplex {
  readonly #line: Line;
  #room = WINDOW;
  /** Bytes that came, and those of them that the guest knows to be taken. */
  #received = 0;
  #told = 0;
  #isGone = false;
  /** What came and was not asked for yet, in one piece: many small ones would take far more memory than their bytes. */
  #kept = NOTHING;
  #keptLength = 0;
  #isAsked = false;
  #isOver = false;
  #wake: () => void = () => {};

  constructor(line: Line) {
    // It asks for more only when all has been read; what comes meanwhile is kept here.
    super({ allowHalfOpen: true, readableHighWaterMark: 1 });
    this.#line = line;
  }

  receive(data: Buffer): void {
    this.#received += data.length;
    if (this.#received - this.#told > SEND_WINDOW + CHUNK) {
      this.destroy();
    } else if (data.length === 0) {
      this.#endReading();
    } else {
      this.#keep(data);
      this.#give();
      this.#tell();
    }
  }

  #keep(data: Buffer): void {
    const length = this.#keptLength + data.length;
    if (length > this.#kept.length) {
      const more = Buffer.allocUnsafe(Math.min(Math.max(2 * this.#kept.length, length, 512), SEND_WINDOW + CHUNK));
      this.#kept.copy(more, 0, 0, this.#keptLength);
      this.#kept = more;
    }
    data.copy(this.#kept, this.#keptLength);
    this.#keptLength = length;
  }

  #give(): void {
    if (this.#isAsked && this.#keptLength > 0) {
      const data = this.#kept.subarray(0, this.#keptLength);
      this.#kept = NOTHING;
      this.#keptLength = 0;
      this.#isAsked = false;
      this.push(data);
    }
    if (this.#isOver && this.#keptLength === 0 && !this.readableEnded) {
      this.#isOver = false;
      this.push(null);
    }
  }

  #endReading(): void {
    this.#isOver = true;
    this.#give();
  }

  taken(bytes: number): void {
    this.#room = Math.min(WINDOW, this.#room + bytes);
    this.#wake();
  }

  /** The program's end is gone: what it sent can still be read, what is written goes nowhere. */
  gone(): void {
    this.#isGone = true;
    this.#wake();
    this.once('end', () => this.destroy());
    this.#endReading();
    if (this.readableLength === 0 && this.#keptLength === 0) {
      this.read(0);
    }
  }

  override read(size?: number): unknown {
    const data: unknown = super.read(size);
    this.#tell();
    return data;
  }

  override _read(): void {
    this.#isAsked = true;
    this.#give();
  }

  /** Tells the guest how much has been read. */
  #tell(): void {
    const taken = this.#received - this.readableLength - this.#keptLength - this.#told;
    if (taken >= ACK_EVERY) {
      this.#told += taken;
      this.#line.took(taken);
    }
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#writeAll(chunk).then(
      () => done(),
      (error: Error) => done(error),
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#line.send(NOTHING).then(
      () => done(),
      (error: Error) => done(error),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#wake();
    done(error);
  }

  async #writeAll(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length && !this.destroyed && !this.#isGone; ) {
      if (this.#room === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const part = chunk.subarray(at, at + Math.min(this.#room, CHUNK));
      this.#room -= part.length;
      at += part.length;
      await this.#line.send(part);
    }
  }
}
