import type { Sink } from '../http/sink.ts';

/** Which streams a client wants, and whether they come as one. */
export interface Streams {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Of a terminal: bytes as they are. Else each piece has a head of 8 bytes: its stream, three zeros, its length (moby's "stream format"). */
  readonly raw: boolean;
}

const NUMBERS = { stdin: 0, stdout: 1, stderr: 2 } as const;
const HEAD = 8;

/** A piece of output for a client that takes `raw` or framed bytes. */
export const framed = (stream: keyof typeof NUMBERS, data: Uint8Array): Buffer => {
  const frame = Buffer.alloc(HEAD + data.length);
  frame[0] = NUMBERS[stream];
  frame.writeUInt32BE(data.length, HEAD / 2);
  frame.set(data, HEAD);
  return frame;
};

/** Writes output to a client; what it does not want is left out. */
export const writeOutput = async (
  sink: Sink,
  streams: Streams,
  chunk: { stream: 'stdout' | 'stderr'; data: Uint8Array },
): Promise<void> => {
  if (streams[chunk.stream]) {
    await sink.write(streams.raw ? chunk.data : framed(chunk.stream, chunk.data));
  }
};

/** The type of an answer with output. */
export const outputType = (raw: boolean, version: number): string =>
  raw || version < MULTIPLEXED_SINCE ? 'application/vnd.docker.raw-stream' : 'application/vnd.docker.multiplexed-stream';

const MULTIPLEXED_SINCE = 42;
