import { HyprError } from '../../base/errors.ts';
import { eraseCredentials, storeCredentials } from './config/credentials.ts';
import { endpointsFor, loadRegistrySettings } from './config/settings.ts';
import type { Credentials } from './config/types.ts';
import { chooseEndpoint, type RegistriesOptions } from './registries.ts';
import { answerForLogin } from './transport/auth.ts';
import { openHttp } from './transport/http.ts';

export interface LoginResult {
  /** The file that holds the credentials as plain text; undefined when a helper stores them. */
  readonly plainFile: string | undefined;
}

/** The registry that docker's `[SERVER]` argument means: docker.io for no argument and for Docker Hub's names; of a URL, its host. */
export const parseServer = (server: string | undefined): string => {
  const host = (server ?? '').replace(/^https?:\/\//, '').replace(/\/.*$/s, '');
  if (host === '' || /^(index\.|registry-1\.)?docker\.io$/.test(host)) {
    return 'docker.io';
  }
  if (!/^(?:[\w.-]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/.test(host)) {
    throw new HyprError('HYPR_USAGE', `${JSON.stringify(server)} is not a registry`, { hint: 'write it as ghcr.io or localhost:5000' });
  }
  return host;
};

/**
 * Checks the credentials with the registry and stores them if it accepts them: the password, or the identity token that
 * the token server issued instead. Throws REGISTRY_AUTH if it does not, REGISTRY_UNREACHABLE, REGISTRY_ERROR.
 */
export const login = async (
  domain: string,
  credentials: Credentials,
  options: RegistriesOptions & { readonly signal: AbortSignal },
): Promise<LoginResult> => {
  const identityToken = await verify(domain, credentials, options);
  const kept = identityToken === undefined ? credentials : { identityToken };
  return { plainFile: await storeCredentials(domain, kept, options.env) };
};

/** False if there was no login. */
export const logout = (domain: string, env: NodeJS.ProcessEnv = process.env): Promise<boolean> => eraseCredentials(domain, env);

/**
 * Checks the credentials with the registry and stores nothing; gives the identity token that was issued for them. Throws as `login`.
 * GET /v2/ (distribution-spec "Determining Support"), first without credentials, then with what the challenge requires.
 */
export const verify = async (
  domain: string,
  credentials: Credentials,
  options: RegistriesOptions & { readonly signal: AbortSignal },
): Promise<string | undefined> => {
  const { signal, env = process.env } = options;
  const settings = options.settings ?? (await loadRegistrySettings(options.home, env));
  const http = openHttp({ ...options, insecure: settings.insecure });
  try {
    const endpoint = await chooseEndpoint(http, endpointsFor(domain, settings), signal);
    const url = `${new URL(endpoint.url).origin}/v2/`;
    const response = await http.send({ url, signal });
    await response.body.dump();
    if (response.statusCode !== 401) {
      if (response.statusCode === 200) {
        return undefined;
      }
      throw new HyprError('REGISTRY_ERROR', `${new URL(url).host} answered ${response.statusCode} to a login`, {
        hint: response.statusCode === 404 ? 'there seems to be no registry' : 'try again later',
      });
    }
    const answer = await answerForLogin(http, { response, endpoint: endpoint.url, scopes: [], credentials, signal }, { offline: true });
    const again = answer === undefined ? response : await http.send({ url, headers: { authorization: answer.authorization }, signal });
    if (again !== response) {
      await again.body.dump();
    }
    if (again.statusCode !== 200) {
      throw refused(domain, again.statusCode);
    }
    return answer?.refreshToken;
  } finally {
    await http[Symbol.asyncDispose]();
  }
};

const refused = (domain: string, status: number): HyprError =>
  status === 401 || status === 403
    ? new HyprError('REGISTRY_AUTH', `${domain} refuses the login: incorrect username or password`, {
        hint: 'check both; with two-factor authentication an access token stands for the password',
      })
    : new HyprError('REGISTRY_ERROR', `${domain} answered ${status} to a login`);
