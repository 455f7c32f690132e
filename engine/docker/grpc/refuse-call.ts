import http2, { type Http2ServerResponse } from 'node:http2';
import type { Code } from '@connectrpc/connect';

/** An answer of gRPC that is an error and nothing else (PROTOCOL-HTTP2, Trailers-Only). What its client still sends is not waited for. */
export const refuseCall = (response: Http2ServerResponse, { code, message }: { readonly code: Code; readonly message: string }): void => {
  const headers = { 'content-type': 'application/grpc', 'grpc-status': String(code), 'grpc-message': encodeURIComponent(message) };
  if (!response.stream.destroyed) {
    response.writeHead(200, headers);
    response.end(() => response.stream.close(http2.constants.NGHTTP2_NO_ERROR));
  }
};
