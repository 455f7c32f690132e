import http2, { type Http2ServerRequest, type Http2ServerResponse, type Http2Session, type ServerHttp2Session } from 'node:http2';
import { Code } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { Home } from '../../api/gen/home_pb.ts';
import { Supervisor } from '../../api/gen/hypr_pb.ts';
import type { Routes } from '../http/router.ts';
import { refuse } from '../rest/guard.ts';
import type { LoopbackServer } from '../rest/listen.ts';
import { homeService } from './home.ts';
import { refuseCall } from './refuse-call.ts';
import { handToSupervisor, type Supervisors, supervisorsOfHome } from './to-supervisor.ts';

const ADDRESS = '127.0.0.1';
const MOST_CONNECTIONS = 64;
/** Of one message. */
const MOST_BYTES = 4 << 20;
/** A connection without a call for so long is closed. */
const SILENT_MS = 5 * 60_000;
/** One that has made no call with the token by then is cut: anybody on this host can connect. */
const STRANGER_MS = 30_000;
const SETTINGS = { maxConcurrentStreams: 100, maxHeaderListSize: 16 << 10 };

/**
 * gRPC on a port of 127.0.0.1 (HTTP/2 without TLS): the service Home, which is of all stacks, and Supervisor of each, which its metadata
 * names. Calls need the token, `authorization: Bearer TOKEN`. Throws NET_PORT_IN_USE.
 */
export const serveGrpc = async (
  routes: Routes,
  { port, token, strangerMs = STRANGER_MS }: { readonly port: number; readonly token: string; readonly strangerMs?: number },
  supervisors: Supervisors = supervisorsOfHome,
): Promise<LoopbackServer> => {
  const home = connectNodeAdapter({
    routes: (router) => void router.service(Home, homeService(routes)),
    grpcWeb: false,
    connect: false,
    readMaxBytes: MOST_BYTES,
  });
  const connections = new Connections(strangerMs);
  const server = http2.createServer({ settings: SETTINGS }, (request, response) => {
    request.on('error', () => {});
    response.on('error', () => {});
    if (answer(request, response, { token, home, supervisors })) {
      connections.trust(request.stream.session);
    }
  });
  server.on('session', (session) => connections.add(session));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        isErrno(error, 'EADDRINUSE') ? new HyprError('NET_PORT_IN_USE', `port ${port} of ${ADDRESS} is taken`, { cause: error }) : error,
      );
    });
    server.listen(port, ADDRESS, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      connections.cut();
      await closed;
    },
  };
};

interface Answering {
  readonly token: string;
  readonly supervisors: Supervisors;
  readonly home: (request: Http2ServerRequest, response: Http2ServerResponse) => void;
}

/** The connections there are; strangers are those that have shown no token, and make room for others. */
class Connections {
  /** With the end of a stranger's time. The oldest comes first. */
  readonly #all = new Map<ServerHttp2Session, NodeJS.Timeout | undefined>();

  constructor(private readonly strangerMs: number) {}

  add(session: ServerHttp2Session): void {
    session.on('error', () => {});
    if (this.#all.size >= MOST_CONNECTIONS) {
      const [stranger] = [...this.#all].find(([, time]) => time !== undefined) ?? [session];
      stranger.destroy();
    }
    if (session.destroyed) {
      return;
    }
    this.#all.set(
      session,
      setTimeout(() => session.destroy(), this.strangerMs),
    );
    session.setTimeout(SILENT_MS, () => session.close());
    session.once('close', () => {
      clearTimeout(this.#all.get(session));
      this.#all.delete(session);
    });
  }

  trust(session: Http2Session | undefined): void {
    const known = session as ServerHttp2Session;
    if (this.#all.has(known)) {
      clearTimeout(this.#all.get(known));
      this.#all.set(known, undefined);
    }
  }

  cut(): void {
    for (const session of this.#all.keys()) {
      session.destroy();
    }
  }
}

/** Whether its caller has the token. */
const answer = (request: Http2ServerRequest, response: Http2ServerResponse, { token, home, supervisors }: Answering): boolean => {
  const headers = { ...request.headers, host: request.headers[':authority'] ?? request.headers.host };
  const refusal = refuse({ headers }, token, false);
  if (refusal !== undefined) {
    refuseCall(response, { code: refusal.status === 401 ? Code.Unauthenticated : Code.PermissionDenied, message: refusal.message });
    return false;
  }
  if (!String(request.headers['content-type']).startsWith('application/grpc')) {
    response.writeHead(415).end();
  } else if (request.url.startsWith(`/${Supervisor.typeName}/`)) {
    void handToSupervisor(supervisors, request, response);
  } else {
    home(request, response);
  }
  return true;
};
