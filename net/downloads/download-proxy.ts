import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { endToEndFields } from '../http/end-to-end.ts';
import { responseTo } from '../http/response-to.ts';
import { DownloadCache, type DownloadWriter, type Validators } from './download-cache.ts';

const log = logger('net');

/** Default package hosts; a leading dot also matches all subdomains. */
export const PACKAGE_HOSTS: readonly string[] = [
  ...['registry.npmjs.org', 'registry.yarnpkg.com', 'nodejs.org', 'npm.jsr.io'],
  ...['pypi.org', 'files.pythonhosted.org'],
  ...['crates.io', 'index.crates.io', 'static.crates.io'],
  ...['proxy.golang.org', 'sum.golang.org'],
  ...['rubygems.org', 'index.rubygems.org'],
  ...['repo.maven.apache.org', 'repo1.maven.org', 'plugins.gradle.org', 'services.gradle.org'],
  ...['repo.packagist.org', 'packagist.org', 'api.nuget.org'],
  ...['.debian.org', '.ubuntu.com', '.alpinelinux.org', '.fedoraproject.org', '.centos.org', '.rockylinux.org'],
];

export interface DownloadProxyOptions {
  /** Hosts: `host`, `.host` including subdomains, or `host:port`; without a port, ports 80 and 443. */
  readonly allow: readonly string[];
  /** Called once for each refused host (`name:port`), for the first 256. */
  readonly onRefused: (host: string) => void;
  /** Where answers of plain HTTP are kept. */
  readonly cacheFolder: string;
}

export interface DownloadProxy {
  /** Serves one connection of a client. */
  accept(connection: Duplex): void;
  close(): void;
}

const DEFAULT_PORTS = [80, 443];
/** Refused hosts that are reported; a build may think up any number of names. */
const MOST_REFUSED = 256;
/**
 * An HTTP proxy for builds (RFC 9110): CONNECT opens a tunnel; a plain GET is answered from the cache when its origin
 * confirms that it has not changed. Only allowed hosts can be reached. It listens nowhere: connections are passed to it.
 */
export const openDownloadProxy = (options: DownloadProxyOptions): DownloadProxy => {
  const refused = new Set<string>();
  const cache = new DownloadCache(options.cacheFolder);
  const isAllowed = (host: string, port: number): boolean => {
    const allowed = matchesHost(options.allow, host, port);
    const name = `${host}:${port}`;
    if (!allowed && !refused.has(name) && refused.size < MOST_REFUSED) {
      refused.add(name);
      options.onRefused(name);
    }
    return allowed;
  };
  const server = createServer((request, response) => {
    void forward({ request, response, isAllowed, cache }).catch((error: unknown) => fail(response, 502, messageOf(error)));
  });
  server.on('connect', (request: IncomingMessage, socket: Duplex, head: Buffer) => tunnel({ request, socket, head, isAllowed }));
  server.on('clientError', (_error, socket) => socket.destroy());
  const connections = new Set<Duplex>();
  return {
    accept: (connection) => {
      connections.add(connection);
      connection.once('close', () => connections.delete(connection));
      server.emit('connection', connection);
    },
    close: () => {
      for (const connection of connections) {
        connection.destroy();
      }
    },
  };
};

/** Whether the list matches this host and port. Pure. */
export const matchesHost = (allow: readonly string[], host: string, port: number): boolean =>
  allow.some((entry) => {
    const [, name = '', own] = /^(.*?)(?::(\d+))?$/.exec(entry.trim().toLowerCase()) ?? [];
    const isPort = own === undefined ? DEFAULT_PORTS.includes(port) : Number(own) === port;
    const wanted = host.toLowerCase().replace(/\.$/, '');
    return isPort && name !== '' && (name.startsWith('.') ? wanted === name.slice(1) || wanted.endsWith(name) : wanted === name);
  });

const fail = (response: ServerResponse, status: number, text: string): void => {
  if (response.headersSent) {
    response.destroy();
  } else {
    response.writeHead(status, { 'content-type': 'text/plain' }).end(`hypr: ${text}\n`);
  }
};

const refusal = (host: string): string => `${host} is not on the list of hosts that this build may reach (HYPR_BUILD_PROXY_ALLOW)`;

const tunnel = (input: {
  request: IncomingMessage;
  socket: Duplex;
  head: Buffer;
  isAllowed: (host: string, port: number) => boolean;
}): void => {
  const { request, socket, head, isAllowed } = input;
  const [, host = '', port = ''] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(request.url ?? '') ?? [];
  socket.on('error', () => {});
  if (!isAllowed(host, Number(port))) {
    socket.end(`HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nhypr: ${refusal(request.url ?? '')}\n`);
    return;
  }
  const upstream = connect(Number(port), host);
  upstream.once('connect', () => {
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    upstream.write(head);
    void Promise.allSettled([pipeline(socket, upstream), pipeline(upstream, socket)]);
  });
  upstream.once('error', (error) => {
    log.debug('a tunnel of a build', { host, reason: error.message });
    socket.end('HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\n\r\n');
  });
};

interface Forward {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly isAllowed: (host: string, port: number) => boolean;
  readonly cache: DownloadCache;
}

const forward = async ({ request, response, isAllowed, cache }: Forward): Promise<void> => {
  const url = URL.canParse(request.url ?? '') ? new URL(request.url ?? '') : undefined;
  if (url?.protocol !== 'http:') {
    fail(response, 400, 'this is a proxy: it takes http:// addresses and CONNECT');
    return;
  }
  if (!isAllowed(url.hostname, Number(url.port || 80))) {
    fail(response, 403, refusal(url.host));
    return;
  }
  const own = ['range', 'if-none-match', 'if-modified-since', 'if-match', 'if-unmodified-since', 'authorization', 'cookie'].some(
    (name) => name in request.headers,
  );
  const mayKeep = request.method === 'GET' && !own;
  const known = mayKeep ? await cache.find(url.href) : undefined;
  try {
    const answer = await ask(url, request, known);
    if (answer.statusCode === 304 && known !== undefined) {
      answer.resume();
      response.writeHead(200, known.headers);
      await pipeline(known.read(), response);
      return;
    }
    await pass(answer, response, mayKeep && answer.statusCode === 200 ? (headers) => cache.begin(url.href, headers) : undefined);
  } finally {
    await known?.close();
  }
};

type Keep = (headers: Record<string, string | string[]>) => Promise<DownloadWriter | undefined>;

const pass = async (answer: IncomingMessage, response: ServerResponse, keep: Keep | undefined): Promise<void> => {
  const headers = endToEndFields(answer.headers);
  response.writeHead(answer.statusCode ?? 502, headers);
  const storing = await keep?.(headers).catch((error: unknown) => {
    log.debug('a download is not kept', { reason: messageOf(error) });
    return undefined;
  });
  try {
    await pipeline(
      answer,
      async function* (source: AsyncIterable<Buffer>) {
        for await (const chunk of source) {
          await storing?.write(chunk);
          yield chunk;
        }
        // Committed before the client sees the end, so that whoever asks again finds it.
        await storing?.commit();
      },
      response,
    );
  } finally {
    await storing?.discard();
  }
};

const ask = async (url: URL, request: IncomingMessage, known: { validators: Validators } | undefined): Promise<IncomingMessage> => {
  const headers = { ...endToEndFields(request.headers), host: url.host, ...known?.validators };
  const upstream = httpRequest(url, { method: request.method ?? 'GET', headers, agent: false });
  const answered = responseTo(upstream);
  await Promise.all([pipeline(request, upstream), answered.catch(() => {})]);
  return await answered;
};
