import type { IncomingHttpHeaders } from 'node:http';
import { DOCKER_API_VERSION } from '../../model/version.ts';
import type { Body } from './body.ts';
import { ApiError } from './errors.ts';
import type { Query } from './query.ts';
import type { Reply } from './reply.ts';

/** One request, as the handler of its route sees it. */
export interface Call {
  /** Of the path: `{id}`. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  /** The minor version of the API that the client speaks: 41 of 1.41. */
  readonly version: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Body;
  readonly reply: Reply;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

export type Handler = (call: Call) => Promise<void> | void;

/** `'GET /containers/{id}/json'` → its handler. `{name...}` takes slashes as well. */
export type Routes = Readonly<Record<string, Handler>>;

export interface Match {
  /** Its key in the table. */
  readonly route: string;
  readonly handler: Handler;
  readonly params: Readonly<Record<string, string>>;
  readonly version: number;
}

export const OLDEST = 24;
export const NEWEST = Number(DOCKER_API_VERSION.split('.')[1]);

/** Finds the handler of a method and path, with or without a version before it. Throws 400 for a version, 404 and 405 for a path. */
export const makeRouter = (routes: Routes): ((method: string, path: string) => Match) => {
  const compiled = Object.entries(routes).map(([route, handler]) => {
    const [method = '', pattern = ''] = route.split(' ');
    return { route, method, handler, pattern: compile(pattern) };
  });
  return (method, path) => {
    const [, given, rest = path] = /^\/v(\d+\.\d+)(\/.*)$/.exec(path) ?? [];
    const version = given === undefined ? NEWEST : checkVersion(given);
    const matching = compiled.flatMap((route) => {
      const found = route.pattern.exec(rest);
      return found === null ? [] : [{ ...route, params: decode(found.groups ?? {}) }];
    });
    const chosen =
      matching.find((route) => route.method === method) ??
      (method === 'HEAD' ? matching.find((route) => route.method === 'GET') : undefined);
    if (chosen === undefined) {
      throw matching.length === 0 ? new ApiError(404, 'page not found') : new ApiError(405, `${method} is not allowed here`);
    }
    return { route: chosen.route, handler: chosen.handler, params: chosen.params, version };
  };
};

const compile = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern.replace(/\{(\w+)(\.\.\.)?\}/g, (_, name: string, rest?: string) => `(?<${name}>${rest === undefined ? '[^/]+' : '.+'})`)}$`,
  );

const decode = (params: Readonly<Record<string, string>>): Record<string, string> => {
  try {
    return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, decodeURIComponent(value)]));
  } catch {
    throw new ApiError(400, 'the path is not well encoded');
  }
};

const checkVersion = (version: string): number => {
  const [major, minor = 0] = version.split('.').map(Number);
  if (major !== 1 || minor < OLDEST) {
    throw new ApiError(
      400,
      `client version ${version} is too old. Minimum supported API version is 1.${OLDEST}, please upgrade your client to a newer version`,
    );
  }
  if (minor > NEWEST) {
    throw new ApiError(400, `client version ${version} is too new. Maximum supported API version is ${DOCKER_API_VERSION}`);
  }
  return minor;
};
