import { HyprError } from '../../base/errors.ts';
import type { Credentials } from './credentials.ts';
import type { Http, Response } from './http.ts';
import { readLimited } from './read-limited.ts';
import { isLoopback } from './settings.ts';

export interface Challenge {
  readonly scheme: 'bearer' | 'basic';
  readonly parameters: Readonly<Record<string, string>>;
}

const MAX_TOKEN_ANSWER = 1024 * 1024;

/** The first challenge of a WWW-Authenticate header (RFC 9110 11.6.1) that we can meet. */
export const parseChallenge = (header: string): Challenge | undefined => {
  for (const match of header.matchAll(/(?:^|,\s*)(bearer|basic)(?:\s+((?:[\w-]+\s*=\s*(?:"[^"]*"|[^\s,"]+)(?:\s*,\s*)?)*))?/gi)) {
    const parameters = [...(match[2] ?? '').matchAll(/([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))/g)].map(
      ([, key, quoted, bare]): [string, string] => [(key ?? '').toLowerCase(), quoted ?? bare ?? ''],
    );
    return { scheme: (match[1] ?? '').toLowerCase() as Challenge['scheme'], parameters: Object.fromEntries(parameters) };
  }
  return undefined;
};

/**
 * The Authorization header that answers a 401 (distribution's token authentication, or Basic). Gives
 * undefined when there is nothing to answer with. Throws REGISTRY_AUTH when the token server refuses.
 */
export const answerChallenge = async (
  http: Http,
  input: { response: Response; endpoint: string; scope: string; credentials: Credentials | undefined; signal: AbortSignal },
): Promise<string | undefined> => {
  const header = input.response.headers['www-authenticate'];
  const challenge = parseChallenge(Array.isArray(header) ? header.join(', ') : (header ?? ''));
  if (challenge === undefined) {
    return undefined;
  }
  if (challenge.scheme === 'basic') {
    return input.credentials === undefined ? undefined : basic(input.credentials);
  }
  const realm = checkRealm(challenge.parameters.realm ?? '', input.endpoint);
  const token = await fetchToken(http, { ...input, realm, service: challenge.parameters.service ?? '' });
  return token === undefined ? undefined : `Bearer ${token}`;
};

const basic = (credentials: Credentials): string | undefined =>
  'username' in credentials ? `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}` : undefined;

/** Passwords go there: not without TLS, unless the registry itself is asked without. */
const checkRealm = (realm: string, endpoint: string): URL => {
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  const allowed = url?.protocol === 'https:' || (url?.protocol === 'http:' && (endpoint.startsWith('http:') || isLoopback(url.host)));
  if (url === undefined || !allowed) {
    throw new HyprError('REGISTRY_AUTH', `the registry ${new URL(endpoint).host} names ${JSON.stringify(realm)} to get a token from`);
  }
  return url;
};

const fetchToken = async (
  http: Http,
  input: { realm: URL; service: string; scope: string; credentials: Credentials | undefined; signal: AbortSignal },
): Promise<string | undefined> => {
  const { realm, service, scope, credentials, signal } = input;
  const response = await http.send(tokenRequest({ realm, service, scope, credentials, signal }));
  if (response.statusCode === 401 || response.statusCode === 403) {
    await response.body.dump();
    if (credentials === undefined) {
      return undefined;
    }
    throw new HyprError('REGISTRY_AUTH', `${realm.host} refuses the credentials of ~/.docker/config.json`, {
      hint: 'log in again with: docker login',
    });
  }
  if (response.statusCode !== 200) {
    await response.body.dump();
    throw new HyprError('REGISTRY_ERROR', `${realm.host} answered ${response.statusCode} when asked for a token`);
  }
  const body = parseAnswer((await readLimited(response, MAX_TOKEN_ANSWER)).toString('utf8'));
  const token = body.token ?? body.access_token;
  if (typeof token !== 'string' || /[^\x21-\x7e]/.test(token)) {
    throw new HyprError('REGISTRY_ERROR', `${realm.host} gave no token`);
  }
  return token;
};

const parseAnswer = (text: string): { token?: unknown; access_token?: unknown } => {
  try {
    return Object(JSON.parse(text)) as object;
  } catch {
    return {};
  }
};

const tokenRequest = (input: { realm: URL; service: string; scope: string; credentials: Credentials | undefined; signal: AbortSignal }) => {
  const { realm, service, scope, credentials, signal } = input;
  if (credentials !== undefined && 'identityToken' in credentials) {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      service,
      scope,
      client_id: 'hypr',
      refresh_token: credentials.identityToken,
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return { url: realm.href, method: 'POST', headers, body: form.toString(), signal } as const;
  }
  const url = new URL(realm);
  url.searchParams.set('service', service);
  url.searchParams.set('scope', scope);
  const authorization = credentials === undefined ? undefined : basic(credentials);
  return { url: url.href, headers: authorization === undefined ? {} : { authorization }, signal } as const;
};
