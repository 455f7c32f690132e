import http from 'node:http';
import https from 'node:https';
import { withDeadline } from '../../base/deadline.ts';
import { type ErrorCode, HyprError, isAbort } from '../../base/errors.ts';
import { homePaths } from '../../base/paths.ts';
import { readAuthority } from '../../net/certificates/authority.ts';
import { ERROR_HEADER } from '../../net/edge/pages/error-page.ts';
import { systemKnowsNames } from '../../net/names/system-names.ts';
import type { BestUrl, EdgeInfo, UrlRequest } from '../model/edge.ts';
import { type FoundStack, readErrorCode, readIndexState } from './read-holder.ts';

/**
 * The best URL of a service that works now, found by trying it: by its name through the system's resolver, then `*.localhost` at the
 * edge's port. Throws NAME_UNKNOWN, NAME_NOT_READY, NAME_UNREACHABLE or EDGE_UPSTREAM with the reason when none does.
 */
export const findBestUrl = async (request: UrlRequest, info: EdgeInfo, signal: AbortSignal): Promise<BestUrl> => {
  const edgePort = info.port;
  if (edgePort === undefined) {
    throw new HyprError('NET_PORT_IN_USE', 'names do not answer: the edge has no port', {
      hint: 'set HYPR_EDGE_PORT to a free port, or publish a port: hypr port SERVICE PORT',
      details: info.problems,
    });
  }
  const { name, https: wantsTls, service, port } = pickName(await readStacks(edgePort, signal), request);
  const label = request.port === undefined ? name : `${request.port}.${name}`;
  // The edge itself must reach the service; then it is only the name that matters.
  const refusal = await refusalOf(`http://127.0.0.1:${edgePort}/`, `${label}.localhost`, signal);
  if (refusal !== undefined) {
    throw new HyprError(refusal, `${service} of ${request.stack} does not answer on port ${port}`, {
      hint: `see what it says: hypr -p ${request.stack} logs ${service}`,
    });
  }
  const host = `${label}.${info.domain}`;
  const url = `${wantsTls ? 'https' : 'http'}://${host}/`;
  if (info.dnsPort !== undefined && (await systemKnowsNames(info.domain, signal)) && (await works(url, info.domain, signal))) {
    return { url, service, port, reach: 'system' };
  }
  return { url: `http://${label}.localhost:${edgePort}/`, service, port, reach: 'localhost' };
};

/**
 * URLs of all services of a stack that have a web port or a label for one, without trying each: at the end of `up`, some do not answer
 * yet. Service → URL; empty where names are not served.
 */
export const listUrls = async (stack: string, info: EdgeInfo, signal: AbortSignal): Promise<ReadonlyMap<string, string>> => {
  const { port, domain, dnsPort, systemPorts } = info;
  if (port === undefined) {
    return new Map();
  }
  const stacks = await readStacks(port, signal);
  const services = stacks.find((each) => each.name === stack)?.services ?? [];
  // The holder has them only where the system's resolver asks it, which it has tried just now.
  const isSystem = dnsPort !== undefined && systemPorts.length > 0;
  return new Map(
    services.flatMap(({ name: service, names: [name], web }) => {
      if (name === undefined || web === undefined) {
        return [];
      }
      const secure = name.https && info.tls && systemPorts.includes(443);
      return [[service, isSystem ? `${secure ? 'https' : 'http'}://${name.host}.${domain}/` : `http://${name.host}.localhost:${port}/`]];
    }),
  );
};

const pickName = (
  stacks: readonly FoundStack[],
  { stack, service, port }: UrlRequest,
): { name: string; https: boolean; service: string; port: number } => {
  const services = stacks.find((each) => each.name === stack)?.services ?? [];
  const first = () => services.find((each) => each.root) ?? services.find((each) => each.web !== undefined);
  const found = service === undefined ? first() : services.find((each) => each.name === service);
  const [name] = found?.names ?? [];
  if (found === undefined || name === undefined) {
    throw new HyprError(
      service === undefined ? 'NAME_NOT_READY' : 'NAME_UNKNOWN',
      service === undefined ? `no service of ${stack} has a web port` : `${stack} runs no service ${service}`,
      { hint: services.length === 0 ? 'start the stack with: hypr up -d' : `it runs ${services.map((each) => each.name).join(', ')}` },
    );
  }
  const wanted = port ?? found.web;
  if (wanted === undefined || (port !== undefined && !found.ports.some((each) => each.port === port))) {
    const listens = found.ports.map((each) => each.port).join(', ');
    throw new HyprError(
      'NAME_UNREACHABLE',
      wanted === undefined ? `${found.name} has no web port` : `${found.name} does not listen on port ${wanted}`,
      {
        hint:
          listens === ''
            ? `it is ${found.state} and listens on nothing`
            : `it listens on ${listens}; say which with --port, or the label hypr.http-port`,
      },
    );
  }
  return { name: name.host, https: name.https, service: found.name, port: wanted };
};

const readStacks = async (port: number, signal: AbortSignal): Promise<FoundStack[]> => {
  const { body } = await get(`http://127.0.0.1:${port}/state.json`, { host: 'localhost' }, signal);
  return readIndexState(body);
};

/** The edge's own error for that host, or undefined when the service answered, whatever it said. */
const refusalOf = async (url: string, host: string, signal: AbortSignal): Promise<ErrorCode | undefined> => {
  const { headers } = await get(url, { host }, signal, 'HEAD');
  return readErrorCode(headers[ERROR_HEADER]);
};

/** Whether this host answers under the name, with a certificate of the user's authority. */
const works = async (url: string, domain: string, signal: AbortSignal): Promise<boolean> => {
  try {
    const authority = await readAuthority(homePaths().authority, domain);
    const { headers } = await get(url, {}, signal, 'HEAD', authority?.cert);
    return headers[ERROR_HEADER] === undefined;
  } catch (error) {
    if (isAbort(error) && signal.aborted) {
      throw error;
    }
    return false;
  }
};

const ANSWER_MS = 15_000;
const MOST_BYTES = 16 * 1024 * 1024;

const get = (url: string, headers: Record<string, string>, signal: AbortSignal, method = 'GET', ca?: string) =>
  withDeadline(
    { ms: ANSWER_MS, what: `an answer of ${url}`, signal },
    (within) =>
      new Promise<{ headers: http.IncomingHttpHeaders; body: string }>((resolve, reject) => {
        const ask = url.startsWith('https:') ? https.request : http.request;
        const request = ask(url, { method, headers, signal: within, agent: false, ...(ca === undefined ? {} : { ca }) }, (answer) => {
          let body = '';
          answer.setEncoding('utf8').on('data', (chunk: string) => {
            body += chunk;
            if (body.length > MOST_BYTES) {
              request.destroy(new HyprError('HYPR_INTERNAL', 'the edge said too much'));
            }
          });
          answer.once('end', () => resolve({ headers: answer.headers, body }));
          answer.once('error', reject);
        });
        request.once('error', reject);
        request.end();
      }),
  );
