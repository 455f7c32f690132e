import { trustedAuthorities } from '../registry/config/certificates.ts';

const REFS = '/info/refs';
const TIMEOUT_MS = 60_000;

/**
 * Where the server of a repository (`http:` or `https:`) sends a client with this `Authorization` on to: the repository's address
 * there. Undefined where it does not, or where that is no repository.
 */
export const findRedirect = async (remote: string, authorization: string, signal: AbortSignal): Promise<string | undefined> => {
  const { EnvHttpProxyAgent, request } = await import('../registry/transport/undici.ts');
  const trusted = trustedAuthorities(process.env);
  const tls = trusted && { ca: trusted };
  const agent = new EnvHttpProxyAgent(tls && { connect: tls, requestTls: tls, proxyTls: tls });
  try {
    const response = await request(`${remote.replace(/\/$/, '')}${REFS}?service=git-upload-pack`, {
      dispatcher: agent,
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      headers: { 'user-agent': 'git/2.0 (hypr)', authorization },
    });
    const { location } = response.headers;
    response.body.on('error', () => {}).destroy();
    return typeof location === 'string' && response.statusCode >= 300 && response.statusCode < 400
      ? repositoryAt(location, remote)
      : undefined;
  } catch {
    // What git said before is what is to be reported.
    signal.throwIfAborted();
    return undefined;
  } finally {
    await agent.destroy();
  }
};

const repositoryAt = (location: string, remote: string): string | undefined => {
  const base = `${remote.replace(/\/$/, '')}${REFS}`;
  if (!URL.canParse(location, base)) {
    return undefined;
  }
  const { protocol, origin, pathname } = new URL(location, base);
  return /^https?:$/.test(protocol) && pathname.endsWith(REFS) ? origin + pathname.slice(0, -REFS.length) : undefined;
};
