import type { GuestProcess, OutputChunk, ProcessExit } from '../types.ts';
import type { Channel } from './process-channel.ts';

/** What a process asks of the client that started it; `channel` is the channel's number. */
interface ProcessControl {
  signalProcess(channel: number, signal: number): Promise<void>;
  resizeProcess(channel: number, size: { columns: number; rows: number }): Promise<void>;
}

/** A program in the guest, as the channel that carries its streams shows it. */
export class ClientProcess implements GuestProcess {
  readonly pid: number;
  readonly output: AsyncIterable<OutputChunk>;
  readonly exited: Promise<ProcessExit>;
  readonly #client: ProcessControl;
  readonly #channel: Channel;

  constructor(client: ProcessControl, channel: Channel, pid: number) {
    this.#client = client;
    this.#channel = channel;
    this.pid = pid;
    // A second loop continues where the first one stopped.
    this.output = { [Symbol.asyncIterator]: () => channel.output('streams') };
    this.exited = channel.exit.promise;
  }

  holdOutput(): (stream: OutputChunk['stream'], offset: number) => void {
    return this.#channel.holdOutput();
  }

  write(data: Uint8Array): Promise<void> {
    return this.#channel.write(data);
  }

  closeStdin(): Promise<void> {
    return this.#channel.endInput();
  }

  signal(signal: number): Promise<void> {
    return this.#client.signalProcess(this.#channel.id, signal);
  }

  resize(size: { columns: number; rows: number }): Promise<void> {
    return this.#client.resizeProcess(this.#channel.id, size);
  }
}
