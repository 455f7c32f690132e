import type { Reference } from '../config/reference.ts';
import type { Endpoint } from '../config/settings.ts';
import type { Credentials } from '../config/types.ts';
import { answerChallenge } from './auth.ts';
import type { Body, Http, HttpRequest, Response } from './http.ts';

export interface RepositoryOptions {
  readonly http: Http;
  readonly endpoint: Endpoint;
  readonly reference: Reference;
  readonly credentials: Credentials | undefined;
  readonly signal: AbortSignal;
  /** The access that tokens are requested for; default pull. */
  readonly access?: 'pull' | 'push' | undefined;
  /** Repositories (library/nginx) of the same registry that blobs may be mounted from. */
  readonly mountFrom?: readonly string[] | undefined;
}

export interface Call {
  /** A path below /v2/<name>/, or a whole URL that the registry gave. */
  readonly path: string;
  readonly method?: HttpRequest['method'];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Body;
  /** False: a failed attempt is not retried; see HttpRequest. */
  readonly repeat?: boolean;
  readonly signal: AbortSignal;
}

/** Sends requests to one repository with the authorisation its registry requires, which is reused for the next request. */
export type Access = (call: Call) => Promise<Response>;

export const openAccess = (options: RepositoryOptions): Access => {
  const { http, endpoint, reference, credentials } = options;
  let pending: Promise<string | undefined> = Promise.resolve(undefined);
  const base = new URL(endpoint.url);
  const root = `${base.origin}/v2${base.pathname.replace(/\/$/, '')}/${reference.path}/`;
  return async ({ path, signal, ...call }) => {
    const url = new URL(path, root);
    const send = (authorization: string | undefined) =>
      // An upload may go to a storage backend, which must not get the token.
      http.send({
        ...call,
        url: url.href,
        headers: { ...call.headers, ...(authorization === undefined || url.origin !== base.origin ? {} : { authorization }) },
        signal,
      });
    const used = await pending;
    const response = await send(used);
    if (response.statusCode !== 401) {
      return response;
    }
    // Several blobs are requested at once: one request gets the new token for all of them.
    if ((await pending) === used) {
      pending = answerChallenge(http, { response, endpoint: endpoint.url, scopes: scopesOf(options), credentials, signal });
      pending.catch(() => {
        pending = Promise.resolve(undefined);
      });
    }
    const answer = await pending;
    if (answer === undefined || answer === used) {
      return response;
    }
    await response.body.dump();
    return send(answer);
  };
};

const scopesOf = ({ reference, access, mountFrom = [] }: RepositoryOptions): string[] => [
  `repository:${reference.path}:${access === 'push' ? 'pull,push' : 'pull'}`,
  ...mountFrom.map((path) => `repository:${path}:pull`),
];
