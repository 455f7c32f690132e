import type { Progress } from '../../../base/progress.ts';
import { describeError } from '../http/errors.ts';
import type { Reply } from '../http/reply.ts';
import type { Sink } from '../http/sink.ts';

/** An answer of JSON objects, one a line, about something that takes its time. */
export class JsonLines {
  readonly #reply: Reply;
  #sink: Sink | undefined;

  constructor(reply: Reply) {
    this.#reply = reply;
  }

  /** The answer is a good one from here on, whatever comes: what fails is a line of it. */
  begin(): Sink {
    this.#sink ??= this.#reply.stream('application/json');
    return this.#sink;
  }

  send(value: unknown): void {
    void this.begin().write(`${JSON.stringify(value)}\r\n`);
  }

  /** As docker's clients draw it: a word about a layer, with how far it is. */
  progress({ id, text, current, total }: Progress): void {
    const progressDetail = current === undefined || total === undefined ? {} : { current, total };
    this.send({ status: text, progressDetail, id });
  }

  /** What fails before the first line is an error of the request; later it is the last line. */
  async carry(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (this.#sink === undefined) {
        throw error;
      }
      const { message } = describeError(error);
      this.send({ errorDetail: { message }, error: message });
    }
    this.begin().end();
  }
}
