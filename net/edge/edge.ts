import type { IncomingMessage } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { HyprError } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { isLoopback } from '../addresses/loopback.ts';
import { listenTcp } from '../ports/check-ports.ts';
import { answerExchange, type EdgeParts, findDestination } from './answer-exchange.ts';
import { answerUpgrade, endWith } from './answer-upgrade.ts';
import { Certificates } from './certificates.ts';
import { Connections } from './connections.ts';
import { GrpcForwarder } from './grpc.ts';
import { isOwnHost, parseAuthority, routeHost } from './http/hosts.ts';
import { MAX_CONNECTIONS } from './http/limits.ts';
import type { Edge, EdgeOptions } from './http/types.ts';
import { OwnPages } from './pages/own-pages.ts';
import { Upstreams } from './upstreams.ts';

const log = logger('edge');

/**
 * Serves the names of a directory to programs of this host: as web server, as HTTP proxy (absolute URIs and CONNECT, for names of the
 * domain only), with TLS where a client speaks it. Throws NET_PORT_IN_USE or NET_PORT_DENIED if the first address cannot be had.
 */
export const serveEdge = async (options: EdgeOptions): Promise<Edge> => {
  const { directory, domain } = options;
  const upstreams = new Upstreams(directory);
  const grpc = new GrpcForwarder(upstreams, directory);
  const pages = new OwnPages(options, (host) => findDestination({ authority: host, viaProxy: false }, options).kind === 'target');
  const parts: EdgeParts = {
    ...{ directory, domain, upstreams, grpc },
    own: (exchange) => pages.serve(exchange),
    wait: (exchange, host) => pages.wait(exchange, host),
    onEvent: (event) => {
      pages.note(event);
      options.onEvent?.(event);
    },
  };
  const connections: Connections = new Connections(
    {
      exchange: (exchange) => answerExchange(exchange, parts),
      upgrade: (request, client, head, secure) => answerUpgrade(request, client, head, secure, parts),
      connect: (request, client, head) =>
        connections.isTunnel(client) ? refuseTunnel(client) : openTunnel(request, client as Socket, head, parts, connections),
    },
    options.issuer === undefined ? undefined : new Certificates(options.issuer, domain),
    options,
  );
  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    pages.close();
    connections.close();
    grpc.close();
    upstreams.close();
    await Promise.all(closed);
  };
  try {
    const addresses = await listenAll(options, servers, connections);
    return { addresses, close };
  } catch (error) {
    await close();
    throw error;
  }
};

const listenAll = async (options: EdgeOptions, servers: Server[], connections: Connections): Promise<Edge['addresses']> => {
  const addresses: Array<{ address: string; port: number }> = [];
  for (const { address, port, optional } of options.listen) {
    const server = createServer({ allowHalfOpen: false }, (socket) => acceptLoopback(socket, connections));
    try {
      // A second address of the same edge has the port that the system chose for the first.
      const wanted = port === 0 ? (addresses[0]?.port ?? 0) : port;
      const got = await listenTcp(server, { protocol: 'tcp', hostAddress: address, hostPort: wanted });
      servers.push(server);
      addresses.push({ address, port: got });
    } catch (error) {
      if (optional !== true || !(error instanceof HyprError)) {
        throw error;
      }
      log.debug('an address cannot be had', { address, port, error: error.message });
    }
  }
  return addresses;
};

const acceptLoopback = (socket: Socket, connections: Connections): void => {
  if (!isLoopback(socket.remoteAddress) || connections.count >= MAX_CONNECTIONS) {
    socket.destroy();
    return;
  }
  connections.accept(socket);
};

/** CONNECT of a proxy's client: what it then sends is a connection to the edge like any other. Ports are those of http and https. */
const openTunnel = (
  request: IncomingMessage,
  client: Socket,
  head: Buffer,
  { directory, domain }: EdgeParts,
  connections: Connections,
): void => {
  client.on('error', () => client.destroy());
  const asked = parseAuthority(request.url ?? '');
  const isOurs =
    asked !== undefined &&
    (asked.port === 443 || asked.port === 80) &&
    (isOwnHost(asked.host, domain) ? asked.host === domain : routeHost(asked.host, directory, domain).kind !== 'foreign');
  if (!isOurs) {
    refuseTunnel(client);
    return;
  }
  client.write('HTTP/1.1 200 Connection established\r\n\r\n');
  connections.acceptTunnel(client, head);
};

/** Also for a tunnel in a tunnel: each layer would cost buffers, without end. */
const refuseTunnel = (client: Duplex): void => {
  client.on('error', () => client.destroy());
  endWith(client, { status: 403, code: 'EDGE_HOST' });
};
