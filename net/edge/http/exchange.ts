import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { endToEnd, filterHeaders, type RawHeaders } from '../../http/end-to-end.ts';
import { headerOf } from './headers.ts';
import { Http1Reply, Http2Reply } from './reply.ts';
import type { Exchange, Peer } from './types.ts';

/** The parts of a request of HTTP/1.1, without a way to answer. Undefined when it is malformed (RFC 9112, section 3.2). */
export const readHttp1 = (request: IncomingMessage, secure: boolean): Omit<Exchange, 'reply'> | undefined => {
  const raw = request.rawHeaders;
  const hosts = raw.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'host').length;
  const url = request.url ?? '';
  const [, absolute, rest] = url.startsWith('/') ? [] : (ABSOLUTE.exec(url) ?? []);
  if (hosts !== 1 || (absolute === undefined && !url.startsWith('/'))) {
    return undefined;
  }
  const hasBody = request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined;
  return {
    method: request.method ?? 'GET',
    // The authority of an absolute form counts, not the Host header (section 3.2.2).
    authority: absolute ?? request.headers.host ?? '',
    path: absolute === undefined ? url : rest?.startsWith('/') ? rest : `/${rest ?? ''}`,
    headers: filterHeaders(endToEnd(raw), (name) => name !== 'host'),
    body: hasBody && request.headers['content-length'] !== '0' ? request : undefined,
    expects: request.headers.expect?.toLowerCase() === '100-continue',
    secure,
    viaProxy: absolute !== undefined,
    version: '1.1',
    peer: () => endsOf(request.socket),
  };
};

const endsOf = (socket: Pick<Socket, 'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort'> | undefined): Peer => ({
  address: socket?.remoteAddress,
  port: socket?.remotePort,
  localAddress: socket?.localAddress,
  localPort: socket?.localPort,
});

const ABSOLUTE = /^http:\/\/([^/?#@]*)([/?][^#]*)?$/i;

export const http1Exchange = (request: IncomingMessage, response: ServerResponse, secure: boolean): Exchange | undefined => {
  const read = readHttp1(request, secure);
  return read === undefined ? undefined : { ...read, reply: new Http1Reply(response) };
};

/** The exchange of one stream of HTTP/2; undefined when it lacks its path or authority. */
export const http2Exchange = (stream: ServerHttp2Stream, raw: RawHeaders, secure: boolean): Exchange | undefined => {
  const method = headerOf(raw, ':method') ?? 'GET';
  const path = headerOf(raw, ':path') ?? '';
  const authority = headerOf(raw, ':authority') ?? headerOf(raw, 'host') ?? '';
  if (!path.startsWith('/') || authority === '' || method === 'CONNECT') {
    return undefined;
  }
  const headers = filterHeaders(endToEnd(raw), (name) => name !== 'host' && name !== 'cookie');
  // HTTP/2 may cut cookies in pieces, HTTP/1.1 has one header (RFC 9113, section 8.2.3).
  const cookies = raw.filter((_, at) => at % 2 === 1 && raw[at - 1] === 'cookie');
  if (cookies.length > 0) {
    headers.push('cookie', cookies.join('; '));
  }
  return {
    method,
    path,
    authority,
    headers,
    body: stream.endAfterHeaders || headerOf(raw, 'content-length') === '0' ? undefined : stream,
    expects: headerOf(raw, 'expect')?.toLowerCase() === '100-continue',
    secure,
    viaProxy: false,
    version: '2',
    peer: () => endsOf(stream.session?.socket),
    reply: new Http2Reply(stream, method),
  };
};
