import { HyprError } from '../../base/errors.ts';
import { AsyncQueue } from '../../base/queue.ts';
import { encodeFrame, type Fields, type Frame, NO_LIMIT, OUTPUT_WINDOW, readFields, readInt } from '../protocol/protocol.ts';
import { reasonNamed, refused } from '../protocol/refusal.ts';
import { FRAME, STATUS, TAG } from '../protocol/tags.ts';
import type { OutputChunk, ProcessExit } from '../types.ts';
import { InputWindow } from './input-window.ts';

const STREAMS = ['stdout', 'stderr'] as const;
const END_SIZE = 16;
const OUTPUT_HEAD = 24;
const MANY_CHUNKS = 1024;
const SMALL_CHUNK = 4096;

interface StreamState {
  /** Offsets: the next byte the guest will send, the bytes taken by the reader, and what the guest was last told. */
  expected: number;
  acked: number;
  told: number;
  lost: number;
  ended: boolean;
}

/** What ends an output: the end of both streams of a program, or the answer of a transfer. */
type OutputEnd = 'streams' | 'answer';

interface Queued {
  readonly stream: 0 | 1;
  readonly chunk: OutputChunk;
  readonly end: number;
}

export interface ChannelPort {
  /** Resolves when the socket accepts more. */
  send(frame: Buffer): Promise<void>;
}

/**
 * One request and the streams that belong to it. Output is buffered here within the guest's window; what the reader has
 * taken is acknowledged, so that the guest may forget it.
 */
export class Channel {
  readonly id: number;
  readonly answer = defer<Fields>();
  readonly exit = defer<ProcessExit>();
  readonly #port: ChannelPort;
  readonly #output = new AsyncQueue<Queued>();
  readonly #streams: [StreamState, StreamState] = [newStream(), newStream()];
  #failure: Error | undefined;
  #answered = false;
  /** What ends the output; undefined until somebody reads it. */
  #outputUntil: OutputEnd | undefined;
  #isHeld = false;
  readonly #input: InputWindow;
  readonly #onOver: () => void;
  #hasExited = false;

  /** `onOver` is called once a program has ended and all of its output is here: the guest has nothing more to say then. */
  constructor(id: number, port: ChannelPort, onOver: () => void = () => {}) {
    this.id = id;
    this.#port = port;
    this.#onOver = onOver;
    this.#input = new InputWindow((payload) => port.send(encodeFrame({ type: FRAME.data, channel: id, payload })));
  }

  /** Lets the guest send. `from` holds the offsets at which the output of a re-attached program resumes. */
  openOutput(from: readonly [number, number] = [0, 0]): void {
    for (const index of [0, 1] as const) {
      const stream = this.#streams[index];
      stream.expected = Math.max(stream.expected, from[index]);
      stream.acked = stream.expected;
      this.#tell(index);
    }
  }

  /** Handles a frame of this channel; throws GUEST_PROTOCOL on a protocol violation. */
  accept(frame: Frame): void {
    switch (frame.type) {
      case FRAME.answer:
        this.#onAnswer(frame.payload);
        break;
      case FRAME.output:
        this.#onOutput(frame);
        break;
      case FRAME.outputEnd:
        this.#onOutputEnd(frame);
        break;
      case FRAME.exit:
        this.exit.resolve(readExit(readFields(frame.payload)) ?? { code: 255, oomKilled: false });
        this.#hasExited = true;
        this.#leaveIfOver();
        break;
      case FRAME.inputWindow:
        if (frame.payload.length >= 8) {
          this.#input.setLimit(frame.payload.readBigUInt64LE(0));
        }
        break;
    }
  }

  /** Ends everything with `error`; output that has arrived can still be read. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.answer.reject(error);
    this.exit.reject(error);
    this.#endOutput();
    this.#input.fail(error);
  }

  #leaveIfOver(): void {
    const [stdout, stderr] = this.#streams;
    if (this.#hasExited && stdout.ended && stderr.ended) {
      this.#input.setLimit(NO_LIMIT);
      this.#onOver();
    }
  }

  #onAnswer(payload: Buffer): void {
    if (payload.length < 2) {
      throw new HyprError('GUEST_PROTOCOL', 'the guest agent sent an answer without a status');
    }
    const status = payload.readUInt16LE(0);
    const fields = readFields(payload.subarray(2));
    this.#answered = true;
    if (status === STATUS.ok) {
      this.answer.resolve(fields);
    } else {
      const error = refusal(status, fields);
      this.answer.reject(error);
      this.exit.reject(error);
    }
    this.#endOutput();
  }

  #onOutput(frame: Frame): void {
    const index = streamIndex(frame.flags);
    const stream = this.#streams[index];
    const data = frame.payload.subarray(OUTPUT_HEAD);
    const offset = readInt(frame.payload, 0);
    const time = readInt(frame.payload, 8);
    const lost = readInt(frame.payload, 16);
    if (offset < stream.expected || offset + data.length > stream.told + OUTPUT_WINDOW || stream.ended || data.length === 0) {
      throw new HyprError('GUEST_PROTOCOL', 'the guest agent sent output outside its window');
    }
    // Who reads too slowly is told the sum later: a guest could fill memory with notices, which are not merged.
    if (lost > stream.lost && this.#output.size <= MANY_CHUNKS) {
      const text = `\n[hypr: ${lost - stream.lost} bytes of output were lost while no supervisor was listening]\n`;
      void this.#output.push({
        stream: index,
        end: offset,
        chunk: { stream: STREAMS[index], data: Buffer.from(text), time, offset, notice: true },
      });
      stream.lost = lost;
    }
    stream.expected = offset + data.length;
    this.#enqueue({ stream: index, end: stream.expected, chunk: { stream: STREAMS[index], data: Buffer.from(data), time, offset } });
  }

  /** Merges tiny chunks, so that a window full of single bytes stays small in memory. */
  #enqueue(item: Queued): void {
    const { last, size } = this.#output;
    const isSame = last?.stream === item.stream && last.chunk.notice === undefined;
    if (size > MANY_CHUNKS && last !== undefined && isSame && last.chunk.data.length < SMALL_CHUNK) {
      const data = Buffer.concat([last.chunk.data, item.chunk.data]);
      this.#output.replaceLast({ ...item, chunk: { ...last.chunk, data } });
    } else {
      void this.#output.push(item);
    }
  }

  #onOutputEnd(frame: Frame): void {
    if (frame.payload.length !== END_SIZE) {
      throw new HyprError('GUEST_PROTOCOL', 'the guest agent sent a malformed end of output');
    }
    this.#streams[streamIndex(frame.flags)].ended = true;
    this.#endOutput();
    this.#leaveIfOver();
  }

  #tell(index: 0 | 1): void {
    const stream = this.#streams[index];
    const payload = Buffer.alloc(16);
    payload.writeBigUInt64LE(BigInt(stream.acked), 0);
    payload.writeBigUInt64LE(BigInt(stream.acked + OUTPUT_WINDOW), 8);
    stream.told = stream.acked;
    void this.#port.send(encodeFrame({ type: FRAME.window, channel: this.id, flags: index + 1, payload })).catch(() => {});
  }

  #acknowledge(index: 0 | 1, end: number): void {
    const stream = this.#streams[index];
    stream.acked = Math.max(stream.acked, Math.min(end, stream.expected));
    if (stream.acked > stream.told && (this.#output.size === 0 || stream.acked - stream.told >= OUTPUT_WINDOW / 4)) {
      this.#tell(index);
    }
  }

  /** See GuestProcess. */
  holdOutput(): (stream: OutputChunk['stream'], offset: number) => void {
    this.#isHeld = true;
    return (stream, offset) => {
      if (this.#failure === undefined) {
        this.#acknowledge(stream === 'stdout' ? 0 : 1, offset);
      }
    };
  }

  /** Output in order of arrival. A chunk counts as kept when the next one is requested, unless `holdOutput` is in use. */
  async *output(until: OutputEnd): AsyncGenerator<OutputChunk> {
    this.#outputUntil = until;
    this.#endOutput();
    // Not a `for await` loop: the caller may leave the output and come back for the rest.
    for (let next = await this.#output.take(); !next.done; next = await this.#output.take()) {
      yield next.value.chunk;
      if (!this.#isHeld) {
        this.#acknowledge(next.value.stream, next.value.end);
      }
    }
  }

  /** Ends the output if its end has arrived, or can no longer arrive. */
  #endOutput(): void {
    const [stdout, stderr] = this.#streams;
    if (this.#outputUntil !== undefined && (this.#outputUntil === 'streams' ? stdout.ended && stderr.ended : this.#answered)) {
      this.#output.end();
    } else if (this.#outputUntil !== undefined && this.#failure !== undefined) {
      this.#output.fail(this.#failure);
    }
  }

  /** Sends stdin within the guest's window. Rejects with GUEST_EXEC when the program no longer reads it. */
  write(data: Uint8Array): Promise<void> {
    return this.#input.write(data);
  }

  /** After a re-attach the guest's count includes input sent by earlier hosts. */
  resumeInput(sent: number): void {
    this.#input.resume(sent);
  }

  endInput(): Promise<void> {
    return this.#port.send(encodeFrame({ type: FRAME.eof, channel: this.id }));
  }
}

/** A program that did not start, with docker's exit code for that, 126 or 127. */
export class GuestExecError extends HyprError {
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super('GUEST_EXEC', message, { reason: exitCode === STATUS.notFound ? 'programNotFound' : 'programNotStarted' });
    this.exitCode = exitCode;
  }
}

const refusal = (status: number, fields: Fields): HyprError => {
  const text = fields.text(TAG.answer.text);
  return status === STATUS.notExecutable || status === STATUS.notFound
    ? new GuestExecError(status, text ?? 'the program could not be started')
    : refused(reasonNamed(fields.int(TAG.answer.reason)), text === undefined || text === '' ? 'the guest agent refused a request' : text);
};

/** The exit fields of an answer, an event or an EXIT frame. */
export const readExit = (fields: Fields): ProcessExit | undefined => {
  const code = fields.int(TAG.exit.code);
  const signal = fields.int(TAG.exit.signal) ?? 0;
  return code === undefined
    ? undefined
    : { code: code & 255, oomKilled: fields.int(TAG.exit.oom) === 1, ...(signal > 0 ? { signal } : {}) };
};

const streamIndex = (flags: number): 0 | 1 => {
  if (flags !== 1 && flags !== 2) {
    throw new HyprError('GUEST_PROTOCOL', `the guest agent sent output of stream ${flags}`);
  }
  return flags === 1 ? 0 : 1;
};

const newStream = (): StreamState => ({ expected: 0, acked: 0, told: 0, lost: 0, ended: false });

/** Whoever waits sees a rejection; that nobody waits is not an error. */
const defer = <T>(): PromiseWithResolvers<T> => {
  const deferred = Promise.withResolvers<T>();
  deferred.promise.catch(() => {});
  return deferred;
};
