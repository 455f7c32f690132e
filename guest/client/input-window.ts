import { HyprError } from '../../base/errors.ts';
import { NO_LIMIT } from '../protocol/protocol.ts';
import { MAX_TO_GUEST } from '../protocol/tags.ts';

/** What the guest takes of a program's input before it has said anything. */
const FIRST_WINDOW = 65_536;

/** A program's input: it is sent in pieces that the guest has room for (docs/guest-protocol.md). Any number may write at once. */
export class InputWindow {
  readonly #send: (part: Uint8Array) => Promise<void>;
  readonly #waiting: Array<() => void> = [];
  #failure: Error | undefined;
  #sent = 0n;
  #limit = BigInt(FIRST_WINDOW);

  constructor(send: (part: Uint8Array) => Promise<void>) {
    this.#send = send;
  }

  /** Rejects with GUEST_EXEC when the program no longer reads it, and with what the channel failed with. */
  async write(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length; ) {
      if (this.#failure !== undefined) {
        throw this.#failure;
      }
      if (this.#limit === NO_LIMIT) {
        throw new HyprError('GUEST_EXEC', 'the program does not read its input any more');
      }
      const room = Number(this.#limit - this.#sent);
      if (room > 0) {
        const part = data.subarray(at, at + Math.min(room, MAX_TO_GUEST));
        this.#sent += BigInt(part.length);
        at += part.length;
        await this.#send(part);
      } else {
        await new Promise<void>((resolve) => void this.#waiting.push(resolve));
      }
    }
  }

  /** After a re-attach the guest's count includes input sent by earlier hosts. */
  resume(sent: number): void {
    this.#sent = BigInt(sent);
  }

  /** As the guest says it; NO_LIMIT: it is read no more. */
  setLimit(limit: bigint): void {
    this.#limit = limit;
    this.#wake();
  }

  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) {
      wake();
    }
  }
}
