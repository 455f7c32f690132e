import type { Http2ServerResponse } from 'node:http2';
import type { Code } from '@connectrpc/connect';

/** An answer of gRPC that is an error and nothing else (PROTOCOL-HTTP2, Trailers-Only). */
export const refuseCall = (response: Http2ServerResponse, { code, message }: { readonly code: Code; readonly message: string }): void => {
  const headers = { 'content-type': 'application/grpc', 'grpc-status': String(code), 'grpc-message': encodeURIComponent(message) };
  if (!response.stream.destroyed) {
    response.writeHead(200, headers);
    response.end();
  }
};
