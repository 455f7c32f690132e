import { request as ask, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import { messageOf } from '../../../base/errors.ts';
import { ApiError, describeError } from '../http/errors.ts';
import type { Host } from '../machines/host.ts';

const PATH = /^(?:\/api\/v1)?\/(?:vms|machines)\/([^/?]+)\/proxy(?::(\d{1,5}))?(\/.*)?$/s;

/** Whether it is `/api/v1/vms/NAME/proxy/…` (or `/proxy:PORT/…`): a request to what the machine serves. */
export const isProxied = (url: string): boolean => PATH.test(url);

/** What belongs to this connection, or is hypr's, and not the machine's. */
const OWN_HEADERS = ['authorization', 'connection', 'host', 'keep-alive', 'proxy-authorization', 'te', 'trailer', 'upgrade'];

/** Hands the request to a TCP port that the machine has published, the first or the one of that number. Never throws. */
export const proxyTo = (host: Host, request: IncomingMessage, response: ServerResponse): void => {
  try {
    const [, name = '', port, path = '/'] = PATH.exec(request.url ?? '') ?? [];
    const { hostAddress, hostPort } = findPort(host, decodeURIComponent(name), port === undefined ? undefined : Number(port));
    const headers = withoutOwn(request.headers, OWN_HEADERS);
    const address = hostAddress === '0.0.0.0' ? '127.0.0.1' : hostAddress === '::' ? '::1' : hostAddress;
    const onward = ask({ host: address, port: hostPort, method: request.method, path, headers, agent: false }, (answer) =>
      pass(answer, response, name),
    );
    onward.once('error', (error) => fail(response, 502, `${name} does not answer: ${error.message}`));
    // What was not asked for: Node says nothing else then.
    onward.once('upgrade', (_, socket) => {
      socket.destroy();
      fail(response, 502, `${name} answers with a protocol of its own`);
    });
    response.once('close', () => onward.destroy());
    request.pipe(onward);
  } catch (error) {
    const { status, message } = describeError(error);
    fail(response, status, message);
  }
};

/** The answer is the machine's: whatever it says must not end this process or leave the client waiting. */
const pass = (answer: IncomingMessage, response: ServerResponse, name: string): void => {
  const { statusCode = 0 } = answer;
  if (statusCode < 200 || statusCode > 999) {
    answer.destroy();
    fail(response, 502, `${name} answers with status ${statusCode}, which is none`);
    return;
  }
  try {
    response.writeHead(statusCode, withoutOwn(answer.headers, [...OWN_HEADERS, 'transfer-encoding']));
  } catch (error) {
    answer.destroy();
    fail(response, 502, `${name} answers with headers that are none: ${messageOf(error)}`);
    return;
  }
  // An answer that is cut is cut for the client, too.
  pipeline(answer, response, () => {});
};

const withoutOwn = (headers: IncomingHttpHeaders, own: readonly string[]): IncomingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([key]) => !own.includes(key)));

const findPort = (host: Host, name: string, wanted: number | undefined): { hostAddress: string; hostPort: number } => {
  const { status } = host.find(name);
  const found = status.ports.find(({ port, protocol }) => protocol === 'tcp' && (wanted === undefined || port === wanted));
  if (found === undefined) {
    throw new ApiError(409, `${status.name} has published no TCP port${wanted === undefined ? '' : ` ${wanted}`}`);
  }
  return found;
};

const fail = (response: ServerResponse, status: number, message: string): void => {
  if (response.headersSent) {
    response.destroy();
  } else {
    response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify({ message })}\n`);
  }
};
