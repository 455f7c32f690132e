import type { Http2ServerRequest, Http2ServerResponse, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import http2 from 'node:http2';
import { connect, type Socket } from 'node:net';
import { Code, ConnectError } from '@connectrpc/connect';
import { isErrno, messageOf } from '../../../base/errors.ts';
import { homePaths } from '../../../base/paths.ts';
import { startSupervisor } from '../../client/link/start-supervisor.ts';
import { listStacks } from '../../client/list-stacks.ts';
import { stackPaths } from '../../model/stack-paths.ts';
import { refuseCall } from './refuse-call.ts';

/** Metadata that names the stack. */
const STACK = 'hypr-stack';

/** What is between this connection and its own, and no part of a call. */
const NOT_HANDED_ON: ReadonlySet<string> = new Set([STACK, 'authorization', 'host', 'connection', 'origin']);

/** The supervisors of the stacks that there are. */
export interface Supervisors {
  names(): readonly string[];
  /** A connection to one, which is started where it does not run. Throws SUPERVISOR_FAILED. */
  reach(stack: string): Promise<Socket>;
}

/** Of this HYPR_HOME. */
export const supervisorsOfHome: Supervisors = {
  names: () => listStacks({ all: true }).map(({ name }) => name),
  reach: async (stack) => {
    const { apiSocket } = stackPaths(stack);
    try {
      return await open(apiSocket);
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ECONNREFUSED')) {
        throw error;
      }
      await startSupervisor(stack, homePaths());
      return open(apiSocket);
    }
  },
};

const open = (path: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', reject);
    socket.once('connect', () => resolve(socket.off('error', reject)));
  });

/**
 * Hands a call to the supervisor of a stack, which serves the same API on its unix socket, and its answer back: messages at the pace of
 * who reads them, trailers, and the end of either side.
 */
export const handToSupervisor = async (
  supervisors: Supervisors,
  request: Http2ServerRequest,
  response: Http2ServerResponse,
): Promise<void> => {
  try {
    const socket = await supervisors.reach(stackOf(supervisors.names(), request.headers[STACK]));
    socket.on('error', () => {});
    if (response.stream.destroyed) {
      socket.destroy();
      return;
    }
    carry(request, response, http2.connect('http://hypr', { createConnection: () => socket }));
  } catch (error) {
    refuseCall(
      response,
      error instanceof ConnectError
        ? { code: error.code, message: error.rawMessage }
        : { code: Code.Unavailable, message: messageOf(error) },
    );
  }
};

/** One stack need not be named. */
const stackOf = (known: readonly string[], given: string | readonly string[] | undefined): string => {
  const [first, ...more] = known;
  if (given === undefined && first !== undefined && more.length === 0) {
    return first;
  }
  if (given === undefined) {
    throw new ConnectError(`the metadata ${STACK} has to name a stack`, Code.InvalidArgument);
  }
  if (typeof given !== 'string' || !known.includes(given)) {
    throw new ConnectError(`there is no stack ${String(given)}`, Code.NotFound);
  }
  return given;
};

const carry = (request: Http2ServerRequest, response: Http2ServerResponse, session: http2.ClientHttp2Session): void => {
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !name.startsWith(':') && !NOT_HANDED_ON.has(name)));
  const call = session.request({ ...headers, ':method': 'POST', ':path': request.url });
  let hasAnswered = false;
  /** The status came with the head: there are no trailers. */
  let isWhole = false;
  let trailers: OutgoingHttpHeaders | undefined;
  const lost = (): void => {
    if (!hasAnswered) {
      hasAnswered = true;
      refuseCall(response, { code: Code.Unavailable, message: 'the supervisor has ended' });
    } else if (!response.writableEnded) {
      response.addTrailers({ 'grpc-status': Code.Unavailable, 'grpc-message': encodeURIComponent('the supervisor has ended') });
      response.end();
    }
  };
  session.on('error', lost);
  call.on('error', lost);
  call.once('response', ({ ':status': status = 200, ...rest }) => {
    hasAnswered = true;
    isWhole = rest['grpc-status'] !== undefined;
    response.writeHead(status, plain(rest));
    call.pipe(response, { end: false });
  });
  call.once('trailers', (given) => {
    trailers = plain(given);
  });
  call.once('end', () => {
    if (trailers === undefined && !isWhole) {
      // Cut off, and no end of an answer.
      lost();
      return;
    }
    if (trailers !== undefined) {
      response.addTrailers(trailers);
    }
    response.end();
  });
  call.once('close', () => {
    lost();
    session.close();
  });
  request.pipe(call);
  // Who has called has gone: so does the call.
  response.stream.once('close', () => {
    call.close(http2.constants.NGHTTP2_CANCEL);
    session.close();
  });
};

const plain = (headers: IncomingHttpHeaders): OutgoingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':') && name !== 'connection'));
