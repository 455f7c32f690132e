import net from 'node:net';
import { traceParent } from '../../../base/trace/trace.ts';
import { CallError } from '../call-error.ts';

/*
 * As much of HTTP/1.1 (RFC 9112) over a unix socket as our own server needs: one request at a time, with bodies in both
 * directions at once. Node's clients can do more, but loading them takes longer than a command's whole conversation: 10
 * ms for node:http2, 30 ms for what fetch needs.
 */

export interface HttpResponse {
  readonly status: number;
  /** Keyed by lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: AsyncIterableIterator<Uint8Array>;
}

/** The whole body, or its parts as they arrive. */
export type HttpBody = Uint8Array | AsyncIterable<Uint8Array>;

/** Stops reading from the socket when this many bytes are buffered. */
const HIGH_WATER = 1 << 20;
const MAX_LINE = 64 << 10;

export class HttpConnection {
  readonly #socket: net.Socket;
  #waiting: Buffer[] = [];
  #size = 0;
  #failure: CallError | undefined;
  #wake: () => void = () => {};
  #isSent = true;
  #isRead = true;

  constructor(path: string) {
    this.#socket = net.connect(path);
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#socket.on('error', (error) => this.close(error.message));
    this.#socket.on('close', () => this.close('the connection was closed'));
  }

  /** Whether another request can be sent: the previous request and its answer are complete. */
  get isFree(): boolean {
    return this.#isSent && this.#isRead && this.#failure === undefined && this.#size === 0;
  }

  /** Sends a request and returns the head of the answer once it has arrived. Throws CallError when the connection breaks. */
  async send(path: string, contentType: string, body: HttpBody): Promise<HttpResponse> {
    this.#isSent = false;
    this.#isRead = false;
    const isWhole = body instanceof Uint8Array;
    const length = isWhole ? `content-length: ${body.length}` : 'transfer-encoding: chunked';
    const parent = traceParent();
    const trace = parent === undefined ? '' : `traceparent: ${parent}\r\n`;
    const head = `POST ${path} HTTP/1.1\r\nhost: hypr\r\nconnect-protocol-version: 1\r\n${trace}content-type: ${contentType}\r\n${length}\r\n\r\n`;
    // The part of the body that is already there is sent together with the head.
    this.#socket.cork();
    process.nextTick(() => this.#socket.uncork());
    this.#socket.write(head, 'latin1');
    if (isWhole) {
      this.#socket.write(body);
      this.#isSent = true;
    } else {
      void this.#sendChunks(body);
    }
    return this.#readHead();
  }

  /** Closes the connection at once; pending reads fail with `reason`. */
  close(reason: string): void {
    this.#failure ??= new CallError('unavailable', reason);
    this.#socket.destroy();
    this.#wake();
  }

  async #sendChunks(body: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const part of body) {
        if (this.#failure !== undefined) {
          return;
        }
        if (part.length > 0) {
          this.#socket.write(`${part.length.toString(16)}\r\n`, 'latin1');
          this.#socket.write(part);
          await this.#write('\r\n');
        }
      }
      await this.#write('0\r\n\r\n');
      this.#isSent = true;
    } catch (error) {
      // The other side must not take half a body for a whole request.
      this.close(error instanceof Error ? error.message : String(error));
    }
  }

  /** Waits for a slow reader. */
  #write(text: string): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.write(text, 'latin1') || this.#socket.destroyed) {
        resolve();
        return;
      }
      const done = (): void => {
        this.#socket.off('drain', done).off('close', done);
        resolve();
      };
      this.#socket.on('drain', done).on('close', done);
    });
  }

  async #readHead(): Promise<HttpResponse> {
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(await this.#line())?.[1] ?? this.#refuse('an answer that is not HTTP'));
    const headers = new Map<string, string>();
    for (let line = await this.#line(); line !== ''; line = await this.#line()) {
      const colon = line.indexOf(':');
      headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    return { status, headers, body: this.#readBody(headers) };
  }

  async *#readBody(headers: ReadonlyMap<string, string>): AsyncIterableIterator<Uint8Array> {
    if (headers.get('transfer-encoding') === 'chunked') {
      for (let size = await this.#chunkSize(); size > 0; size = await this.#chunkSize()) {
        yield* this.#parts(size);
        await this.#line();
      }
      while ((await this.#line()) !== '') {
        // Skips trailers, which our server does not send.
      }
    } else {
      yield* this.#parts(Number(headers.get('content-length') ?? 0));
    }
    this.#isRead = true;
  }

  async #chunkSize(): Promise<number> {
    const line = await this.#line();
    return /^[0-9a-f]{1,8}$/i.test(line) ? Number.parseInt(line, 16) : this.#refuse('a chunk without a size');
  }

  async *#parts(size: number): AsyncIterableIterator<Uint8Array> {
    for (let left = size; left > 0; ) {
      const part = await this.#some(left);
      left -= part.length;
      yield part;
    }
  }

  /** The line up to CRLF, without it. */
  async #line(): Promise<string> {
    for (;;) {
      const [first, second] = this.#waiting;
      const end = first?.indexOf('\r\n') ?? -1;
      if (first !== undefined && end >= 0) {
        this.#drop(end + 2);
        return first.toString('latin1', 0, end);
      }
      if (first !== undefined && second !== undefined) {
        this.#waiting.splice(0, 2, Buffer.concat([first, second]));
      } else if (this.#size > MAX_LINE) {
        this.#refuse('a line without an end');
      } else {
        await this.#more(this.#size);
      }
    }
  }

  /** Whatever has arrived, at least one byte and at most `size`. */
  async #some(size: number): Promise<Uint8Array> {
    if (this.#size === 0) {
      await this.#more(0);
    }
    const part = (this.#waiting[0] ?? Buffer.alloc(0)).subarray(0, size);
    this.#drop(part.length);
    return part;
  }

  /** Waits until more than `size` bytes are buffered. Bytes that arrived before the end can still be read. */
  async #more(size: number): Promise<void> {
    while (this.#size <= size) {
      if (this.#failure !== undefined) {
        throw this.#failure;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #drop(size: number): void {
    const [first = Buffer.alloc(0), ...others] = this.#waiting;
    this.#waiting = first.length > size ? [first.subarray(size), ...others] : others;
    this.#size -= size;
    if (this.#size < HIGH_WATER && this.#socket.isPaused()) {
      this.#socket.resume();
    }
  }

  #take(chunk: Buffer): void {
    this.#waiting.push(chunk);
    this.#size += chunk.length;
    if (this.#size >= HIGH_WATER) {
      this.#socket.pause();
    }
    this.#wake();
  }

  #refuse(what: string): never {
    this.close(what);
    throw new CallError('data_loss', what);
  }
}
