import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export interface Refusal {
  readonly status: number;
  readonly message: string;
}

/** Names by which this host is meant; a page that had its own name point here (DNS rebinding) comes with that name. */
const OWN_NAMES: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]']);

/**
 * Why a request is not answered; undefined where it is. It has to name this host, must not come from a web page, and has to have the token
 * (`Authorization: Bearer …`) unless `isOpen`: what anybody on this host may read.
 */
export const refuse = ({ headers }: Pick<IncomingMessage, 'headers'>, token: string, isOpen: boolean): Refusal | undefined => {
  const name = (headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
  if (!OWN_NAMES.has(name)) {
    return { status: 403, message: 'requests have to be sent to 127.0.0.1 or localhost' };
  }
  if (headers.origin !== undefined || (headers['sec-fetch-site'] ?? 'none') !== 'none') {
    return { status: 403, message: 'web pages are not answered' };
  }
  const given = /^Bearer (\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';
  return isOpen || isSame(given, token)
    ? undefined
    : { status: 401, message: 'the token is missing or wrong: Authorization: Bearer TOKEN' };
};

const isSame = (given: string, token: string): boolean => {
  const [a, b] = [Buffer.from(given), Buffer.from(token)];
  return a.length === b.length && timingSafeEqual(a, b);
};
