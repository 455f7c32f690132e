import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** Bytes on their way to a client, at its pace. */
export interface Sink {
  /** Resolves when there is room for more, or the client has gone. */
  write(data: Uint8Array | string): Promise<void>;
  end(): void;
}

/** A connection that belongs to the program at its other end from now on. */
export interface Hijacked extends Sink {
  /** What the client sends; ends when it closes its side. */
  readonly input: AsyncIterable<Uint8Array>;
  /** Itself, where the client asked for another protocol on it. */
  readonly connection?: Duplex;
}

/** Bytes that are kept for a client that does not read, of answers that wait for nobody: events, progress. */
const MOST_KEPT = 16 << 20;

/** Writes to a stream; one whose client does not read is ended before it fills the memory. */
export const sinkOf = (stream: ServerResponse | Duplex): Sink => {
  // One for all that wait: what waits for nobody writes on while the client does not read.
  let room: Promise<void> | undefined;
  const awaitRoom = (): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        stream.removeListener('drain', done).removeListener('close', done);
        room = undefined;
        resolve();
      };
      stream.on('drain', done).on('close', done);
    });
  return {
    write: (data) => {
      if (stream.writableLength > MOST_KEPT) {
        stream.destroy();
      }
      if (stream.destroyed || stream.write(data)) {
        return Promise.resolve();
      }
      room ??= awaitRoom();
      return room;
    },
    end: () => stream.end(),
  };
};
