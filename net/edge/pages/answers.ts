import { HyprError, messageOf } from '../../../base/errors.ts';
import type { NamedService } from '../../names/directory.ts';
import type { Refusal } from '../http/refusals.ts';
import type { EdgeAnswer } from './error-page.ts';

/** The name to show to people: `web of shop`. */
const titleOf = ({ service, replica, stack, host }: NamedService): string =>
  replica !== undefined || service !== undefined ? `${replica ?? service} of ${stack}` : host;

/** A Host that is not ours. The answer says nothing about what runs here, because any web page can ask with any name. */
export const foreignHost = (viaProxy: boolean): EdgeAnswer => ({
  status: viaProxy ? 403 : 421,
  code: 'EDGE_HOST',
  title: viaProxy ? 'This proxy serves names of hypr only' : 'This name is not served here',
  lines: [],
});

export const badRequest = (line: string): EdgeAnswer => ({
  status: 400,
  code: 'EDGE_HOST',
  title: 'This request cannot be served',
  lines: [line],
});

export const unknownName = (name: string, domain: string): EdgeAnswer => ({
  status: 404,
  code: 'NAME_UNKNOWN',
  title: `Nothing is called ${name}`,
  lines: [`Names are SERVICE.STACK.${domain}, of stacks that run.`],
  fix: 'hypr ls',
});

export const notRunning = (service: NamedService): EdgeAnswer => ({
  status: 503,
  code: 'NAME_NOT_READY',
  title: `${titleOf(service)} is not running`,
  lines: [`It is ${service.state}.`],
  fix: `hypr -p ${service.stack} ps -a`,
  waits: true,
});

export const notListening = (service: NamedService, port: number | undefined): EdgeAnswer => ({
  status: 503,
  code: 'NAME_NOT_READY',
  title: port === undefined ? `${titleOf(service)} listens on no web port yet` : `${titleOf(service)} does not listen on port ${port} yet`,
  lines: [
    service.ports.length === 0
      ? 'It runs, and listens on no port.'
      : `It listens on ${service.ports.map(({ port: each }) => each).join(', ')}.`,
    ...(port === undefined && service.ports.length > 0 ? ['Say which of them is for browsers with the label hypr.http-port.'] : []),
  ],
  fix: `hypr -p ${service.stack} logs ${service.service ?? service.host}`,
  waits: true,
});

/** No answer from a service that runs: what went wrong decides between 502, 503 and 504. */
export const noAnswer = (service: NamedService, port: number, error: Error): EdgeAnswer => {
  const code = error instanceof HyprError ? error.code : undefined;
  if (code === 'NAME_UNREACHABLE') {
    return notListening(service, port);
  }
  if (code === 'HYPR_TIMEOUT') {
    return { status: 504, code, title: `${titleOf(service)} does not answer`, lines: [`Port ${port} took no connection in time.`] };
  }
  return {
    status: 502,
    code: 'EDGE_UPSTREAM',
    title: `${titleOf(service)} gave no answer`,
    lines: [`Port ${port}: ${messageOf(error)}.`, 'It may have closed the connection, or may not speak HTTP there.'],
    fix: `hypr -p ${service.stack} logs ${service.service ?? service.host}`,
  };
};

export const hostRefused = (service: NamedService, status: number, host: string, refusal: Refusal): EdgeAnswer => ({
  status,
  code: 'EDGE_HOST_REFUSED',
  title: `${refusal.program} in ${titleOf(service)} refuses the name ${host}`,
  lines: ['It accepts the names that it was told. Set this and restart it, or give the service the label hypr.host-header: localhost.'],
  fix: refusal.setting,
});
