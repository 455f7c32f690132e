import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { Dial } from '../types.ts';
import { join } from './join.ts';

const log = logger('net');

const MAX_LINE = 1024;
const FIRST_LINE_MS = 5_000;
const MOST_CONNECTIONS = 1024;

/**
 * Connections to machines that no gateway leads to, because they have no NIC. Other processes of the user ask for them on a unix socket, in the way
 * that they ask a gateway (`tcp` of docs/gateway-protocol.md); `find` says which machine an address means. The folder keeps other users out.
 */
export class Tunnels {
  readonly #path: string;
  readonly #find: (address: string) => Dial['dial'] | undefined;
  readonly #open = new Set<Socket>();
  readonly #closing = new AbortController();
  #server: Server | undefined;

  constructor(path: string, find: (address: string) => Dial['dial'] | undefined) {
    this.#path = path;
    this.#find = find;
  }

  get path(): string {
    return this.#path;
  }

  /** Listens, once. */
  listen(): void {
    if (this.#server !== undefined || this.#closing.signal.aborted) {
      return;
    }
    // A killed supervisor leaves its socket behind.
    rmSync(this.#path, { force: true });
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#take(client));
    this.#server.maxConnections = MOST_CONNECTIONS;
    this.#server.on('error', (error) => log.warn('machines without a NIC are not reached by name', { error: error.message }));
    this.#server.listen(this.#path);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const closed = new Promise<void>((resolve) => (this.#server === undefined ? resolve() : this.#server.close(() => resolve())));
    for (const client of this.#open) {
      client.destroy();
    }
    await closed;
  }

  #take(client: Socket): void {
    this.#open.add(client);
    client.on('error', () => client.destroy());
    client.once('close', () => this.#open.delete(client));
    client.setTimeout(FIRST_LINE_MS, () => client.destroy());
    let head = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\n');
      if (end < 0 && head.length <= MAX_LINE) {
        return;
      }
      client.off('data', onData).pause().setTimeout(0);
      client.unshift(head.subarray(end + 1));
      this.#connect(client, head.toString('utf8', 0, Math.max(0, end))).catch((error: unknown) => {
        client.end(`${JSON.stringify({ ok: false, error: messageOf(error) })}\n`);
      });
    };
    client.on('data', onData);
  }

  async #connect(client: Socket, line: string): Promise<void> {
    const { op, to } = JSON.parse(line) as { op?: unknown; to?: unknown };
    const [, address = '', port = ''] = /^([0-9.]+):([0-9]{1,5})$/.exec(typeof to === 'string' ? to : '') ?? [];
    const dial = op === 'tcp' ? this.#find(address) : undefined;
    if (dial === undefined) {
      throw new Error('there is no such machine');
    }
    const upstream = await dial(address, Number(port), this.#closing.signal);
    client.write('{"ok":true}\n');
    join(client, upstream);
  }
}
