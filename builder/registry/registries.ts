import { HyprError } from '../../base/errors.ts';
import { openRepository, type Repository } from './client.ts';
import { findCredentials } from './config/credentials.ts';
import { type Reference, repositoryName } from './config/reference.ts';
import { type Endpoint, endpointsFor, loadRegistrySettings, type RegistrySettings } from './config/settings.ts';
import { openPushTarget, type PushTarget } from './push-target.ts';
import { suggestTag } from './suggest-tag.ts';
import { type Http, type HttpOptions, isCertificateFailure, openHttp } from './transport/http.ts';

/** All registries, with their mirrors and credentials and one connection pool. */
export interface Registries extends AsyncDisposable {
  /**
   * Runs `work` against each endpoint until one succeeds: mirrors in order, then the registry itself. If all fail,
   * throws the registry's own error, with those of the mirrors as details.
   */
  withRepository<T>(reference: Reference, signal: AbortSignal, work: (repository: Repository) => Promise<T>): Promise<T>;
  /** Runs `work` against the registry itself, never a mirror, with push access. */
  withPushTarget<T>(
    reference: Reference,
    options: { readonly mountFrom?: readonly string[]; readonly signal: AbortSignal },
    work: (target: PushTarget) => Promise<T>,
  ): Promise<T>;
}

export interface RegistriesOptions extends HttpOptions {
  /** HYPR_HOME, for registries.json. */
  readonly home: string;
  readonly settings?: RegistrySettings | undefined;
}

export const openRegistries = async (options: RegistriesOptions): Promise<Registries> => {
  const env = options.env ?? process.env;
  const settings = options.settings ?? (await loadRegistrySettings(options.home, env));
  const http = openHttp({ ...options, insecure: settings.insecure });
  return {
    withRepository: async (reference, signal, work) => {
      const failures: Array<{ url: string; error: unknown }> = [];
      for (const endpoint of endpointsFor(reference.domain, settings)) {
        if (failures.some(({ url, error }) => isCertificateFailure(error) && isWithoutTls(endpoint, url))) {
          continue;
        }
        // A mirror is a third party: it gets only credentials that are stored for the mirror itself.
        const credentials = await findCredentials(endpoint.isMirror ? new URL(endpoint.url).host : reference.domain, env);
        const repository = openRepository({ http, endpoint, reference, credentials, signal });
        try {
          return await work(repository);
        } catch (error) {
          if (!isWorthTryingElsewhere(error)) {
            throw error;
          }
          failures.push({ url: endpoint.url, error: await suggestTag(error, repository, reference, signal) });
        }
      }
      throw chooseFailure(failures, reference);
    },
    withPushTarget: async (reference, { mountFrom, signal }, work) => {
      const endpoint = await chooseEndpoint(http, endpointsFor(reference.domain, settings), signal);
      const credentials = await findCredentials(reference.domain, env);
      return work(openPushTarget({ http, endpoint, reference, credentials, mountFrom, signal }));
    },
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  };
};

/** The registry itself, by the scheme that it answers to, where plain HTTP is allowed besides https. */
export const chooseEndpoint = async (http: Http, endpoints: readonly Endpoint[], signal: AbortSignal): Promise<Endpoint> => {
  const own = endpoints.filter(({ isMirror }) => !isMirror);
  let failure: unknown;
  for (const endpoint of own) {
    try {
      const response = await http.send({ url: `${endpoint.url}/v2/`, signal });
      await response.body.dump();
      // 400 is what a TLS server answers to plain HTTP; any other status means that https failed for another reason.
      if (failure === undefined || response.statusCode !== 400) {
        return endpoint;
      }
      break;
    } catch (error) {
      signal.throwIfAborted();
      if (isCertificateFailure(error)) {
        throw error;
      }
      failure = error;
    }
  }
  throw failure;
};

/** Whether the endpoint is the same host as `url`, over plain HTTP. */
const isWithoutTls = (endpoint: Endpoint, url: string): boolean =>
  endpoint.url.startsWith('http:') && new URL(endpoint.url).host === new URL(url).host;

const ELSEWHERE = new Set([
  'IMAGE_NOT_FOUND',
  'IMAGE_PLATFORM',
  'IMAGE_CORRUPT',
  'REGISTRY_AUTH',
  'REGISTRY_UNREACHABLE',
  'REGISTRY_ERROR',
]);
const isWorthTryingElsewhere = (error: unknown): boolean => error instanceof HyprError && ELSEWHERE.has(error.code);

/**
 * If the registry itself is unreachable, a mirror's answer says more than its connection error. Otherwise the last
 * error, the registry's own.
 */
const chooseFailure = (failures: ReadonlyArray<{ url: string; error: unknown }>, reference: Reference): unknown => {
  const answers = failures.filter(({ error }) => !(error instanceof HyprError && error.code === 'REGISTRY_UNREACHABLE'));
  const main = answers.at(-1) ?? failures.at(-1);
  if (!(main?.error instanceof HyprError)) {
    return main?.error ?? new HyprError('REGISTRY_UNREACHABLE', `there is no place to pull ${repositoryName(reference)} from`);
  }
  const { code, message, hint, details } = main.error;
  const others = failures
    .filter((failure) => failure !== main)
    .map(({ url, error }) => `${url}: ${error instanceof Error ? error.message : error}`);
  return others.length === 0
    ? main.error
    : new HyprError(code, message, { ...(hint ? { hint } : {}), details: [...details, ...others], cause: main.error });
};
