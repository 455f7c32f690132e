import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import { atPath, HyprError, isErrno, messageOf } from '../../base/errors.ts';
import { formatPort, type HostPort, portDenied, portInUse } from './port-errors.ts';

const DEFAULT_HOST_ADDRESS = '127.0.0.1';

/** `path`: where the model asks for the port. */
interface Asked {
  readonly path?: readonly string[];
}

/**
 * Makes sure that every one of these ports can be listened on, before anything is started: all are bound at
 * once and let go again. An empty host address means 127.0.0.1, port 0 any free one.
 * Throws NET_PORT_IN_USE naming the holder, NET_PORT_DENIED or NET_ADDRESS for the first that cannot; the
 * others that cannot are in its details.
 */
export const checkPorts = async (ports: ReadonlyArray<HostPort & Asked>): Promise<void> => {
  const wanted = ports.map(withDefaultAddress);
  const twice = wanted.find((port, index) => port.hostPort !== 0 && wanted.slice(0, index).some((other) => sameSocket(other, port)));
  if (twice !== undefined) {
    throw new HyprError('NET_PORT_IN_USE', `port ${formatPort(twice)} is published twice`, {
      hint: 'give each service (and each replica of one) a host port of its own, or a range of host ports',
      ...(twice.path === undefined ? {} : { path: twice.path }),
    });
  }
  const results = await Promise.allSettled(wanted.map(bindPort));
  const failures: unknown[] = [];
  for (const [index, result] of results.entries()) {
    const path = ports[index]?.path;
    if (result.status === 'fulfilled') {
      await result.value.close();
    } else {
      failures.push(path === undefined ? result.reason : atPath(result.reason, path));
    }
  }
  const [first, ...others] = failures;
  if (first instanceof HyprError && others.length > 0) {
    throw new HyprError(first.code, first.message, { ...first.toJSON(), details: others.map(messageOf), cause: first.cause });
  }
  if (failures.length > 0) {
    throw first;
  }
};

/**
 * The first port of a range (`published: "8000-8010"`) that is free and not in `except`; 0–0 lets the system
 * choose. Throws NET_PORT_IN_USE when there is none.
 */
export const findFreePort = async (request: {
  protocol: 'tcp' | 'udp';
  hostAddress: string;
  first: number;
  last: number;
  except?: ReadonlySet<number>;
}): Promise<number> => {
  const { protocol, first, last } = request;
  let refused: unknown;
  for (let hostPort = first; hostPort <= last; hostPort += 1) {
    if (!request.except?.has(hostPort)) {
      try {
        const bound = await bindPort(withDefaultAddress({ protocol, hostAddress: request.hostAddress, hostPort }));
        await bound.close();
        return bound.port;
      } catch (error) {
        if (!(error instanceof HyprError && error.code === 'NET_PORT_IN_USE') || first === last) {
          throw error;
        }
        refused = error;
      }
    }
  }
  throw new HyprError('NET_PORT_IN_USE', `no port from ${first} to ${last}/${protocol} is free`, {
    hint: 'publish a larger range of host ports',
    cause: refused,
  });
};

/** Without brackets; an empty host address means 127.0.0.1. */
export const withDefaultAddress = <T extends HostPort>(port: T): T => {
  const bare = port.hostAddress.replace(/^\[(.*)\]$/, '$1');
  return { ...port, hostAddress: bare === '' ? DEFAULT_HOST_ADDRESS : bare };
};

/** Listens on a TCP port of the host; HyprErrors as for checkPorts. `[::]` does not take the IPv4 port with it, as with docker. */
export const listenTcp = async (server: Server, port: HostPort): Promise<number> => {
  const host = port.hostAddress;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port: port.hostPort, exclusive: true, ipv6Only: host.includes(':') }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    throw await bindError(error, port);
  }
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port.hostPort;
};

/** Binds a UDP port of the host and gives its number; HyprErrors as for checkPorts, and the socket is closed then. */
export const bindUdpSocket = async (socket: UdpSocket, port: HostPort): Promise<number> => {
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address: port.hostAddress, port: port.hostPort, exclusive: true }, () => {
        socket.off('error', reject);
        resolve();
      });
    });
    return socket.address().port;
  } catch (error) {
    await new Promise<void>((resolve) => socket.close(() => resolve()));
    throw await bindError(error, port);
  }
};

const bindPort = (port: HostPort): Promise<{ port: number; close(): Promise<void> }> =>
  port.protocol === 'tcp' ? bindTcp(port) : bindUdp(port);

const bindTcp = async (port: HostPort): Promise<{ port: number; close(): Promise<void> }> => {
  const server = createServer((socket) => socket.destroy());
  const bound = await listenTcp(server, port);
  return { port: bound, close: () => new Promise((resolve) => server.close(() => resolve())) };
};

const bindUdp = async (port: HostPort): Promise<{ port: number; close(): Promise<void> }> => {
  const socket: UdpSocket = createSocket(port.hostAddress.includes(':') ? { type: 'udp6', ipv6Only: true } : { type: 'udp4' });
  const bound = await bindUdpSocket(socket, port);
  return { port: bound, close: () => new Promise((resolve) => socket.close(() => resolve())) };
};

const bindError = async (error: unknown, port: HostPort): Promise<unknown> => {
  if (isErrno(error, 'EADDRINUSE')) {
    return portInUse(port);
  }
  if (isErrno(error, 'EACCES', 'EPERM')) {
    return portDenied(port);
  }
  if (isErrno(error, 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL', 'ENOTFOUND', 'ERR_INVALID_ARG_VALUE')) {
    return new HyprError('NET_ADDRESS', `port ${formatPort(port)} cannot be published: this host has no address ${port.hostAddress}`, {
      hint: 'leave the address out (127.0.0.1), or use 0.0.0.0 for all of them',
      cause: error,
    });
  }
  return error;
};

const sameSocket = (a: HostPort, b: HostPort): boolean =>
  a.protocol === b.protocol && a.hostPort === b.hostPort && a.hostAddress === b.hostAddress;
