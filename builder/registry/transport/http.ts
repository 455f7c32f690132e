import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { sleep } from '../../../base/deadline.ts';
import { HyprError, isAbort, messageOf } from '../../../base/errors.ts';
import { type DispatcherOptions, openDispatchers } from './dispatchers.ts';

export type Response = Dispatcher.ResponseData;

/** A function returns a new stream for every attempt. */
export type Body = string | Uint8Array | (() => Readable);

export interface HttpRequest {
  readonly url: string;
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: Body | undefined;
  /** False: no retries, because the caller has to check the server's state before the next attempt. */
  readonly repeat?: boolean | undefined;
  readonly signal: AbortSignal;
}

export interface Http extends AsyncDisposable {
  /** Follows redirects and retries what may succeed later; the caller reads or destroys the body. Throws REGISTRY_UNREACHABLE. */
  send(request: HttpRequest): Promise<Response>;
  /** Milliseconds to wait before attempt `attempt`, which counts from 1. */
  backoff(attempt: number): number;
}

export interface HttpOptions extends DispatcherOptions {
  /** Milliseconds before the first retry, doubled each time. Default 300. */
  readonly backoff?: number | undefined;
}

export const TRIES = 5;
const MAX_REDIRECTS = 5;
const MAX_WAIT = 60_000;
const REPEATABLE = new Set([408, 429, 500, 502, 503, 504]);

/** One connection pool; see openDispatchers for proxies and certificates. */
export const openHttp = (options: HttpOptions = {}): Http => {
  const { backoff = 300 } = options;
  const dispatchers = openDispatchers(options);
  const wait = (attempt: number) => Math.min(MAX_WAIT, backoff * 2 ** (attempt - 1));
  const once = async (input: HttpRequest): Promise<Response> => {
    const { request } = await import('./undici.ts');
    return await request(input.url, {
      dispatcher: await dispatchers.for(new URL(input.url)),
      method: input.method ?? 'GET',
      headers: { 'user-agent': 'hypr', ...input.headers },
      signal: input.signal,
      ...(input.body === undefined ? {} : { body: typeof input.body === 'function' ? input.body() : input.body }),
    });
  };
  const send = async (input: HttpRequest): Promise<Response> => {
    const tries = input.repeat === false ? 1 : TRIES;
    for (let attempt = 1; ; attempt += 1) {
      let pause = wait(attempt);
      try {
        const response = await followRedirects(once, input);
        if (!REPEATABLE.has(response.statusCode) || attempt === tries) {
          return response;
        }
        pause = retryAfter(response) ?? pause;
        await response.body.dump();
      } catch (error) {
        if (input.signal.aborted || isAbort(error) || error instanceof HyprError || attempt === tries || isFinal(error)) {
          throw input.signal.aborted ? input.signal.reason : unreachable(input.url, error);
        }
      }
      await sleep(pause, input.signal);
    }
  };
  return { send, backoff: wait, [Symbol.asyncDispose]: () => dispatchers[Symbol.asyncDispose]() };
};

/** Redirects lead to a storage backend: credentials are not sent to another host, and https is not downgraded. */
const followRedirects = async (once: (input: HttpRequest) => Promise<Response>, input: HttpRequest): Promise<Response> => {
  let current = input;
  for (let hops = 0; ; hops += 1) {
    const response = await once(current);
    const location = response.headers.location;
    if (![301, 302, 303, 307, 308].includes(response.statusCode) || typeof location !== 'string') {
      return response;
    }
    await response.body.dump();
    const from = new URL(current.url);
    const to = new URL(location, from);
    if (hops === MAX_REDIRECTS || (from.protocol === 'https:' && to.protocol !== 'https:') || !/^https?:$/.test(to.protocol)) {
      throw new HyprError(
        'REGISTRY_ERROR',
        `${from.host} redirects ${hops === MAX_REDIRECTS ? 'in circles' : `to ${to.protocol}//${to.host}`}`,
      );
    }
    const { authorization: _, ...rest } = current.headers ?? {};
    current = { ...current, url: to.href, headers: to.origin === from.origin ? (current.headers ?? {}) : rest };
  }
};

/** Retry-After in milliseconds, from seconds or a date (RFC 9110 10.2.3), at most a minute. */
export const retryAfter = (response: Response): number | undefined => {
  const value = response.headers['retry-after'];
  if (typeof value !== 'string') {
    return undefined;
  }
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(MAX_WAIT, Math.max(0, ms));
};

/** Errors that a retry cannot fix: no such host, connection refused, TLS that does not match. */
const FINAL = /^(ENOTFOUND|ECONNREFUSED|EPROTO|CERT_|ERR_TLS|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|UND_ERR_PRX)/;
const isFinal = (error: unknown): boolean => FINAL.test(codeOf(error));

const codeOf = (error: unknown): string => {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown };
  return typeof code === 'string' ? code : cause === undefined ? '' : codeOf(cause);
};

/** Whether both sides speak TLS and one rejected the other's certificate: no reason to fall back to plain HTTP. */
export const isCertificateFailure = (error: unknown): boolean =>
  /^(CERT_|ERR_TLS|ERR_SSL_\w*ALERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(codeOf(error instanceof HyprError ? error.cause : error));

const unreachable = (url: string, error: unknown): unknown => {
  if (error instanceof HyprError) {
    return error;
  }
  const { host } = new URL(url);
  const tls = isCertificateFailure(error);
  return new HyprError('REGISTRY_UNREACHABLE', `the registry ${host} cannot be reached: ${messageOf(error)}`, {
    hint: tls
      ? `put the authority that signed its certificate into ~/.docker/certs.d/${host}/ca.crt, or set SSL_CERT_FILE to it`
      : 'check the network, the proxy settings (HTTPS_PROXY) and the mirrors (HYPR_REGISTRY_MIRRORS)',
    cause: error,
  });
};
