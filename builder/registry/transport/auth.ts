import { HyprError } from '../../../base/errors.ts';
import { isLoopback } from '../config/settings.ts';
import type { Credentials } from '../config/types.ts';
import type { Http, Response } from './http.ts';
import { readLimited } from './read-limited.ts';

export interface Challenge {
  readonly scheme: 'bearer' | 'basic';
  readonly parameters: Readonly<Record<string, string>>;
}

const MAX_TOKEN_ANSWER = 1024 * 1024;

/** The first challenge of a WWW-Authenticate header (RFC 9110 11.6.1) with a supported scheme. */
export const parseChallenge = (header: string): Challenge | undefined => {
  for (const match of header.matchAll(/(?:^|,\s*)(bearer|basic)(?:\s+((?:[\w-]+\s*=\s*(?:"[^"]*"|[^\s,"]+)(?:\s*,\s*)?)*))?/gi)) {
    const parameters = [...(match[2] ?? '').matchAll(/([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))/g)].map(
      ([, key, quoted, bare]): [string, string] => [(key ?? '').toLowerCase(), quoted ?? bare ?? ''],
    );
    return { scheme: (match[1] ?? '').toLowerCase() as Challenge['scheme'], parameters: Object.fromEntries(parameters) };
  }
  return undefined;
};

export interface ChallengeInput {
  readonly response: Response;
  readonly endpoint: string;
  /** `repository:library/nginx:pull`; none to only verify the credentials. */
  readonly scopes: readonly string[];
  readonly credentials: Credentials | undefined;
  readonly signal: AbortSignal;
}

export interface ChallengeAnswer {
  /** The Authorization header. */
  readonly authorization: string;
  readonly refreshToken: string | undefined;
}

/**
 * The Authorization header that answers a 401 (distribution's token authentication, or Basic). Undefined when there are
 * no credentials to answer with. Throws REGISTRY_AUTH when the token server refuses them.
 */
export const answerChallenge = async (http: Http, input: ChallengeInput): Promise<string | undefined> =>
  (await answerForLogin(http, input, {}))?.authorization;

/** Like answerChallenge; `offline` also requests an identity token. */
export const answerForLogin = async (
  http: Http,
  input: ChallengeInput,
  options: { offline?: boolean },
): Promise<ChallengeAnswer | undefined> => {
  const header = input.response.headers['www-authenticate'];
  const challenge = parseChallenge(Array.isArray(header) ? header.join(', ') : (header ?? ''));
  if (challenge === undefined) {
    return undefined;
  }
  if (challenge.scheme === 'basic') {
    const authorization = input.credentials === undefined ? undefined : basic(input.credentials);
    return authorization === undefined ? undefined : { authorization, refreshToken: undefined };
  }
  const realm = checkRealm(challenge.parameters.realm ?? '', input.endpoint);
  const answer = await requestToken(http, { ...input, realm, service: challenge.parameters.service ?? '' }, options);
  return answer === undefined ? undefined : { authorization: `Bearer ${answer.token}`, refreshToken: answer.refreshToken };
};

const basic = (credentials: Credentials): string | undefined =>
  'username' in credentials ? `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}` : undefined;

/** The token server gets passwords, so it must use TLS, unless the registry itself is used over plain HTTP. */
const checkRealm = (realm: string, endpoint: string): URL => {
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  const allowed = url?.protocol === 'https:' || (url?.protocol === 'http:' && (endpoint.startsWith('http:') || isLoopback(url.host)));
  if (url === undefined || !allowed) {
    throw new HyprError('REGISTRY_AUTH', `the registry ${new URL(endpoint).host} names ${JSON.stringify(realm)} to get a token from`);
  }
  return url;
};

interface TokenInput {
  readonly realm: URL;
  readonly service: string;
  readonly scopes: readonly string[];
  readonly credentials: Credentials | undefined;
  readonly signal: AbortSignal;
}

interface Token {
  readonly token: string;
  /** The identity token that a login keeps instead of the password, if the server issues one. */
  readonly refreshToken: string | undefined;
}

/**
 * Requests a token (distribution's "Token Authentication" and "OAuth2 Token Authentication"): by GET, or by POST for an
 * identity token and where GET is not supported. Undefined when the server refuses an anonymous request.
 */
const requestToken = async (http: Http, input: TokenInput, { offline = false }: { offline?: boolean }): Promise<Token | undefined> => {
  const { realm, credentials } = input;
  const isPost = credentials !== undefined && 'identityToken' in credentials;
  let response = await http.send(isPost ? postRequest(input, offline) : getRequest(input, offline));
  if ((response.statusCode === 404 || response.statusCode === 405) && !isPost && credentials !== undefined) {
    await response.body.dump();
    response = await http.send(postRequest(input, offline));
  }
  if (response.statusCode === 401 || response.statusCode === 403) {
    await response.body.dump();
    if (credentials === undefined) {
      return undefined;
    }
    throw new HyprError('REGISTRY_AUTH', `${realm.host} refuses the credentials`, { hint: 'log in again with: hypr login' });
  }
  if (response.statusCode !== 200) {
    await response.body.dump();
    throw new HyprError('REGISTRY_ERROR', `${realm.host} answered ${response.statusCode} when asked for a token`);
  }
  return readToken(response, realm);
};

const readToken = async (response: Response, realm: URL): Promise<Token> => {
  const body = parseAnswer((await readLimited(response, MAX_TOKEN_ANSWER)).toString('utf8'));
  const token = body.token ?? body.access_token;
  if (typeof token !== 'string' || /[^\x21-\x7e]/.test(token)) {
    throw new HyprError('REGISTRY_ERROR', `${realm.host} gave no token`);
  }
  return { token, refreshToken: typeof body.refresh_token === 'string' && body.refresh_token !== '' ? body.refresh_token : undefined };
};

const parseAnswer = (text: string): { token?: unknown; access_token?: unknown; refresh_token?: unknown } => {
  try {
    return Object(JSON.parse(text)) as object;
  } catch {
    return {};
  }
};

const postRequest = ({ realm, service, scopes, credentials, signal }: TokenInput, offline: boolean) => {
  const grant: Record<string, string> =
    credentials !== undefined && 'identityToken' in credentials
      ? { grant_type: 'refresh_token', refresh_token: credentials.identityToken }
      : { grant_type: 'password', ...credentials };
  const form = new URLSearchParams({
    ...grant,
    service,
    client_id: 'hypr',
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    ...(offline ? { access_type: 'offline' } : {}),
  });
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return { url: realm.href, method: 'POST', headers, body: form.toString(), signal } as const;
};

const getRequest = ({ realm, service, scopes, credentials, signal }: TokenInput, offline: boolean) => {
  const url = new URL(realm);
  url.searchParams.set('service', service);
  for (const scope of scopes) {
    url.searchParams.append('scope', scope);
  }
  if (offline) {
    url.searchParams.set('offline_token', 'true');
    url.searchParams.set('client_id', 'hypr');
  }
  const authorization = credentials === undefined ? undefined : basic(credentials);
  return { url: url.href, headers: authorization === undefined ? {} : { authorization }, signal } as const;
};
