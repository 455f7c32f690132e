import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';

/** An address of the host that is not loopback: for a machine it is outside, like any other. Empty when the host has none. */
export const outside: string =
  Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '';

/** Web servers there, which answer `outside` to everything. */
export class OutsideServers {
  readonly #servers: Server[] = [];

  /** Returns the port of one more. Throws when there is no address to listen on. */
  serve(): Promise<number> {
    if (outside === '') {
      throw new Error('the host has no address but loopback: nothing is outside');
    }
    const server = createServer((_, response) => response.end('outside'));
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject).listen(0, outside, () => resolve((server.address() as AddressInfo).port));
    });
  }

  close(): void {
    for (const server of this.#servers) {
      server.close();
    }
  }
}
