import { logger } from '../../base/log.ts';
import type { NameDirectory, NamedService } from '../names/directory.ts';
import { forwardExpecting } from './expect.ts';
import { forward, type Outcomes } from './forward.ts';
import { type GrpcForwarder, isGrpc } from './grpc.ts';
import { headerOf } from './http/headers.ts';
import { isOwnHost, parseAuthority, routeHost } from './http/hosts.ts';
import { findRefusal, mayBeRefusal } from './http/refusals.ts';
import type { EdgeEvent, Exchange } from './http/types.ts';
import { badRequest, foreignHost, hostRefused, noAnswer, notListening, notRunning, unknownName } from './pages/answers.ts';
import { type EdgeAnswer, sendAnswer, WAIT_PATH } from './pages/error-page.ts';
import type { Target, Upstreams } from './upstreams.ts';

const log = logger('edge');

export interface EdgeParts {
  readonly directory: NameDirectory;
  readonly domain: string;
  readonly upstreams: Upstreams;
  readonly grpc: GrpcForwarder;
  /** The edge's own pages. */
  own(exchange: Exchange): void;
  /** Events for a page that waits for the service. */
  wait(exchange: Exchange, host: string): void;
  onEvent(event: EdgeEvent): void;
}

/** Where a request goes: to a port of a service, to the edge's own pages, or nowhere. */
export type Destination =
  | { readonly kind: 'target'; readonly target: Target; readonly host: string }
  | { readonly kind: 'own' }
  | { readonly kind: 'answer'; readonly answer: EdgeAnswer };

/** Decides by the Host alone, so that a page elsewhere whose name was made to point here gets nothing (DNS rebinding). */
export const findDestination = (
  exchange: Pick<Exchange, 'authority' | 'viaProxy'>,
  { directory, domain }: Pick<EdgeParts, 'directory' | 'domain'>,
): Destination => {
  const parsed = parseAuthority(exchange.authority);
  // A client that asks a proxy for localhost means the proxy's own host, which is not offered.
  if (parsed === undefined || (exchange.viaProxy && isOwnHost(parsed.host, domain) && parsed.host !== domain)) {
    return answered(foreignHost(exchange.viaProxy));
  }
  const route = routeHost(parsed.host, directory, domain);
  if (route.kind === 'own') {
    return { kind: 'own' };
  }
  if (route.kind !== 'service') {
    return answered(route.kind === 'foreign' ? foreignHost(exchange.viaProxy) : unknownName(route.name, domain));
  }
  const { service } = route;
  if (service.state !== 'running') {
    return answered(notRunning(service));
  }
  // A proxy's client names the service's port; others name the edge's.
  const asked = route.port ?? (exchange.viaProxy && parsed.port !== 80 ? parsed.port : undefined);
  const port = asked ?? service.webPort;
  if (port === undefined || (asked !== undefined && !service.ports.some((each) => each.port === asked))) {
    return answered(notListening(service, asked));
  }
  return { kind: 'target', target: { service, port }, host: parsed.host };
};

const answered = (answer: EdgeAnswer): Destination => ({ kind: 'answer', answer });

/** Carries one exchange to its end: from the service, or with a page of the edge's own. Never throws. */
export const answerExchange = (exchange: Exchange, parts: EdgeParts): void => {
  try {
    answerOrThrow(exchange, parts);
  } catch (error) {
    log.error('a request failed', { error: String(error) });
    exchange.reply.hasHead ? exchange.reply.abort() : sendAnswer(exchange, badRequest('It could not be sent to the service.'));
  }
};

const answerOrThrow = (exchange: Exchange, parts: EdgeParts): void => {
  const destination = findDestination(exchange, parts);
  if (exchange.path === WAIT_PATH && destination.kind !== 'own') {
    const host = parseAuthority(exchange.authority)?.host;
    if (destination.kind === 'target' || (destination.kind === 'answer' && destination.answer.waits === true)) {
      parts.wait(exchange, host ?? '');
      return;
    }
  }
  if (destination.kind === 'own') {
    parts.own(exchange);
  } else if (destination.kind === 'answer') {
    sendAnswer(exchange, destination.answer);
  } else {
    sendToService(exchange, destination.target, destination.host, parts);
  }
};

const sendToService = (exchange: Exchange, target: Target, host: string, parts: EdgeParts): void => {
  const { service, port } = target;
  const failed = (error: Error): void => {
    log.info('a service gave no answer', { host, port, error: String(error) });
    exchange.reply.hasHead ? exchange.reply.abort() : sendAnswer(exchange, noAnswer(service, port, error));
  };
  if (exchange.version === '2' && isGrpc(headerOf(exchange.headers, 'content-type'))) {
    void parts.grpc.forward(exchange, target, failed);
  } else if (exchange.body !== undefined && exchange.expects) {
    forwardExpecting(exchange, target, parts.upstreams, failed).catch(failed);
  } else {
    forward(exchange, target, parts.upstreams, outcomesOf(exchange, service, host, parts, failed));
  }
};

const outcomesOf = (
  exchange: Exchange,
  service: NamedService,
  host: string,
  parts: EdgeParts,
  failed: (error: Error) => void,
): Outcomes => ({
  failed,
  wants: mayBeRefusal,
  inspect: (status, text) => {
    const refusal = findRefusal(status, text, host);
    if (refusal === undefined) {
      return false;
    }
    parts.onEvent({ type: 'host-refused', stack: service.stack, service: service.service ?? service.host, host, ...refusal });
    if (!(headerOf(exchange.headers, 'accept')?.includes('text/html') ?? false)) {
      return false;
    }
    sendAnswer(exchange, hostRefused(service, status === 200 ? 403 : status, host, refusal));
    return true;
  },
});
