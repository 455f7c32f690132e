import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';

/** A TCP port that is free now, chosen by the kernel, for programs that cannot choose one themselves. */
export const freePort = async (): Promise<number> => {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};
