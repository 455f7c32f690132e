import { orAbort } from '../../base/abort.ts';
import type { Fields } from '../protocol/protocol.ts';
import type { VolumeStream } from '../volume-stream.ts';
import type { Channel } from './process-channel.ts';

interface CarryOptions {
  readonly channel: Channel;
  /** Settles when the guest's part has ended. */
  readonly answer: Promise<Fields>;
  readonly drop: () => void;
}

/** The host's side of a volume that a guest lends or borrows. */
export const openVolumeStream = ({ channel, answer, drop }: CarryOptions): VolumeStream => {
  answer.catch(() => {});
  const output = async function* (): AsyncGenerator<Uint8Array> {
    for await (const { data } of channel.output('answer')) {
      yield data;
    }
    await answer;
  };
  return { output: output(), write: (data) => channel.write(data), close: drop };
};

/**
 * The same of a guest that borrows, once it has mounted the volume: its kernel's first request says so. Throws what the guest
 * refused it for.
 */
export const awaitFirstRequest = async (stream: VolumeStream, signal: AbortSignal | undefined): Promise<VolumeStream> => {
  const requests = stream.output[Symbol.asyncIterator]();
  try {
    const first = await orAbort(requests.next(), signal);
    const output = async function* (): AsyncGenerator<Uint8Array> {
      for (let next = first; !next.done; next = await requests.next()) {
        yield next.value;
      }
    };
    return { ...stream, output: output() };
  } catch (error) {
    stream.close();
    throw error;
  }
};
