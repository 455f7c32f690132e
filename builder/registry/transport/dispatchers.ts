import { homedir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { Dispatcher } from 'undici';
import { certificatesFor, type HostCertificates, trustedAuthorities } from '../config/certificates.ts';
import { isLoopback } from '../config/settings.ts';

export interface DispatcherOptions {
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** HYPR_HOME, for its certs.d. */
  readonly home?: string | undefined;
  /** Folders in docker's layout, with a folder per HOST[:PORT]; the first one wins. See certificatesFor. */
  readonly certFolders?: readonly string[] | undefined;
  /** Hosts whose certificate is not checked (docker's insecure-registries). */
  readonly insecure?: ReadonlySet<string> | undefined;
}

/** Connection pools by host, each with its authorities, client certificate and proxy. */
export interface Dispatchers extends AsyncDisposable {
  for(url: URL): Promise<Dispatcher>;
}

const SILENCE = 60_000;

/**
 * Proxies come from HTTP_PROXY, HTTPS_PROXY and NO_PROXY, and are never used for loopback. Authorities come from
 * SSL_CERT_FILE, NODE_EXTRA_CA_CERTS and certs.d. Throws REGISTRY_UNREACHABLE for certificates that cannot be read.
 */
export const openDispatchers = (options: DispatcherOptions = {}): Dispatchers => {
  const { env = process.env, insecure } = options;
  const folders = options.certFolders ?? certFolders(env, options.home);
  const trusted = trustedAuthorities(env);
  const opened = new Map<string, Promise<Dispatcher>>();
  const open = async ({ host, protocol }: URL): Promise<Dispatcher> => {
    const { Agent, EnvHttpProxyAgent } = await import('./undici.ts');
    const certificates = certificatesFor(host, folders, trusted);
    const tls = protocol === 'https:' ? tlsOptions({ ...certificates, isInsecure: insecure?.has(host) === true }) : {};
    const common = { headersTimeout: SILENCE, bodyTimeout: SILENCE, connect: { timeout: 20_000, ...tls } };
    // A proxy with its own authority is trusted by the same files; the client certificate is for the registry only.
    return isLoopback(host)
      ? new Agent(common)
      : new EnvHttpProxyAgent({
          ...common,
          requestTls: tls,
          ...(trusted ? { proxyTls: { ca: [...trusted] } } : {}),
          ...proxySettings(env),
        });
  };
  return {
    for: (url) => {
      const found = opened.get(url.origin) ?? open(url);
      opened.set(url.origin, found);
      return found;
    },
    [Symbol.asyncDispose]: async () => {
      // A dispatcher that could not be opened has already reported its error to the request that needed it.
      const found = await Promise.allSettled(opened.values());
      await Promise.all(found.map((result) => (result.status === 'fulfilled' ? result.value.destroy() : undefined)));
    },
  };
};

/** One context for all connections to a host, because loading the usual authorities takes 30 ms. */
const tlsOptions = ({ ca, cert, key, isInsecure }: HostCertificates & { isInsecure: boolean }) => ({
  ...(ca || cert ? { secureContext: createSecureContext({ ...(ca ? { ca: [...ca] } : {}), ...(cert && key ? { cert, key } : {}) }) } : {}),
  ...(isInsecure ? { rejectUnauthorized: false } : {}),
});

const certFolders = (env: NodeJS.ProcessEnv, hyprHome: string | undefined): string[] => {
  const home = env.HOME ?? homedir();
  return [
    ...(hyprHome === undefined ? [] : [join(hyprHome, 'certs.d')]),
    join(env.DOCKER_CONFIG || join(home, '.docker'), 'certs.d'),
    join(env.XDG_CONFIG_HOME ?? join(home, '.config'), 'containers', 'certs.d'),
    '/etc/containers/certs.d',
    '/etc/docker/certs.d',
  ];
};

const proxySettings = (env: NodeJS.ProcessEnv) => ({
  httpProxy: env.http_proxy ?? env.HTTP_PROXY ?? '',
  httpsProxy: env.https_proxy ?? env.HTTPS_PROXY ?? '',
  noProxy: env.no_proxy ?? env.NO_PROXY ?? '',
});
