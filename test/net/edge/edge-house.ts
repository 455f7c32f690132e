import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type http from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HyprError } from '../../../base/errors.ts';
import { openAuthority } from '../../../net/certificates/authority.ts';
import { issueLeaf } from '../../../net/certificates/issue-leaf.ts';
import { serveEdge } from '../../../net/edge/edge.ts';
import type { Edge, EdgeOptions, LeafIssuer } from '../../../net/edge/http/types.ts';
import type { NameDirectory, NamedService } from '../../../net/names/directory.ts';
import { named } from '../names/fake-directory.ts';

/** A directory that a test changes, and an edge before it; services are servers of this process. */
export class EdgeHouse {
  readonly services: NamedService[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #closers: Array<() => unknown> = [];
  edge: Edge | undefined;

  readonly directory: NameDirectory = {
    find: (host) => this.services.find((each) => each.host === host.toLowerCase()),
    list: () => [...this.services],
    onChange: (listener) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    },
    close: () => {},
  };

  onClose(close: () => unknown): void {
    this.#closers.push(close);
  }

  changed(): void {
    for (const listener of this.#listeners) {
      listener();
    }
  }

  /** Adds a name whose connections go to that port of this host; `guestPort` is what the edge believes. */
  name(host: string, port: number, more: Partial<NamedService> = {}, guestPort = 80): NamedService {
    const service = named(host, {
      service: host.split('.')[0] ?? host,
      ports: [{ port: guestPort, protocol: 'http' }],
      webPort: guestPort,
      connect: async (asked) => {
        if (asked !== guestPort) {
          throw new HyprError('NAME_UNREACHABLE', `nothing listens on port ${asked}`);
        }
        return dial(port);
      },
      ...more,
    });
    this.services.push(service);
    this.changed();
    return service;
  }

  async serve(server: Server | http.Server): Promise<number> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.onClose(() => {
      (server as http.Server).closeAllConnections?.();
      server.close();
    });
    return (server.address() as { port: number }).port;
  }

  async open(more: Partial<EdgeOptions> = {}): Promise<number> {
    this.edge = await serveEdge({ directory: this.directory, domain: 'hypr', listen: [{ address: '127.0.0.1', port: 0 }], ...more });
    return this.edge.addresses[0]?.port ?? 0;
  }

  async close(): Promise<void> {
    await this.edge?.close();
    for (const close of this.#closers.splice(0).reverse()) {
      await close();
    }
  }

  /** An authority of this test's own: its certificate, and what makes others. */
  async authority(): Promise<{ ca: string; issuer: LeafIssuer }> {
    const folder = await mkdtemp(join(tmpdir(), 'hypr-edge-'));
    this.onClose(() => rm(folder, { recursive: true, force: true }));
    const authority = await openAuthority(folder);
    return { ca: authority.cert, issuer: { version: () => '1', issue: (names) => issueLeaf(authority, names) } };
  }
}

export const dial = async (port: number): Promise<Socket> => {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  try {
    await once(socket, 'connect');
    return socket;
  } catch (error) {
    throw new HyprError('NAME_UNREACHABLE', 'nothing listens', { cause: error });
  }
};

/** Sends text as it is and reads until the connection ends, or `enough` of it is there. */
export const raw = async (port: number, text: string, enough: (answer: string) => boolean = () => false): Promise<string> => {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(text);
  let answer = '';
  for await (const chunk of socket) {
    answer += String(chunk);
    if (enough(answer)) {
      break;
    }
  }
  socket.destroy();
  return answer;
};

/** A server that takes a connection and lets the test do the rest. */
export const tcpServer = (onConnection: (socket: Socket) => void): Server =>
  createServer((socket) => {
    socket.on('error', () => {});
    onConnection(socket);
  });
