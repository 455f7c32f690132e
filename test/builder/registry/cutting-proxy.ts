import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Passes connections on to a port; the first that gets more than `after` bytes in one direction is cut there. */
export interface CuttingProxy extends AsyncDisposable {
  readonly host: string;
  /** Bytes of that direction that were passed on, up to the cut and after it. */
  passed(): number;
  cuts(): number;
}

export const startCuttingProxy = async (input: { port: number; after: number; direction: 'up' | 'down' }): Promise<CuttingProxy> => {
  let passed = 0;
  let cuts = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(input.port, '127.0.0.1');
    let here = 0;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    const pass = (from: Socket, to: Socket, isCounted: boolean) => {
      from.on('data', (chunk: Buffer) => {
        to.write(chunk);
        if (isCounted) {
          passed += chunk.length;
          here += chunk.length;
        }
        if (isCounted && cuts === 0 && here > input.after) {
          cuts += 1;
          client.destroy();
          upstream.destroy();
        }
      });
      from.on('end', () => to.end());
    };
    pass(client, upstream, input.direction === 'up');
    pass(upstream, client, input.direction === 'down');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    passed: () => passed,
    cuts: () => cuts,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) {
        socket.destroy();
      }
      await new Promise((done) => server.close(done));
    },
  };
};
