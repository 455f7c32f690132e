import net from 'node:net';
import { create } from '@bufbuild/protobuf';
import { type Client, createClient } from '@connectrpc/connect';
import { createConnectTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { type ExecInput, ExecInputSchema, Supervisor } from './gen/hypr_pb.ts';

export interface ApiClient {
  readonly rpc: Client<typeof Supervisor>;
  close(): void;
}

/** Connects to a supervisor's socket. Nothing is sent before the first call. */
export const connectApi = (socket: string): ApiClient => {
  const baseUrl = 'http://hypr';
  const sessionManager = new Http2SessionManager(baseUrl, {}, { createConnection: () => net.connect(socket) });
  const transport = createConnectTransport({ baseUrl, httpVersion: '2', sessionManager });
  return { rpc: createClient(Supervisor, transport), close: () => sessionManager.abort() };
};

/** A queue of messages to send that can be iterated once; `end` finishes the iteration. */
export class ExecInputs implements AsyncIterable<ExecInput> {
  readonly #queue: ExecInput[] = [];
  #wake: () => void = () => {};
  #ended = false;

  send(input: ExecInput['input']): void {
    if (!this.#ended) {
      this.#queue.push(create(ExecInputSchema, { input }));
      this.#wake();
    }
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<ExecInput> {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) {
        yield next;
        continue;
      }
      if (this.#ended) {
        return;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
