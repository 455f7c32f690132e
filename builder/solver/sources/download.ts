import { rm } from 'node:fs/promises';
import type { Dispatcher } from 'undici';
import { HyprError, messageOf } from '../../../base/errors.ts';
import { diskError } from '../../../base/host/files.ts';
import { readSecretLine } from '../../model/secret-line.ts';
import type { BuildRequest } from '../../model/types.ts';
import { trustedAuthorities } from '../../registry/config/certificates.ts';
import { isSameServer } from '../../registry/transport/same-server.ts';
import { StepFault } from '../layer/step-error.ts';
import { DownloadStore, type Remembered } from './download-store.ts';

export interface Download {
  /** The file on this host: nobody else's, and removed by `release`. */
  readonly file: string;
  /** sha256 of its bytes, hex. */
  readonly digest: string;
  readonly size: number;
  /** Seconds, from Last-Modified; 0 without it. */
  readonly mtime: number;
  /** Last part of the URL's path; empty when it has none. */
  readonly name: string;
  release(): Promise<void>;
}

const MAX_REDIRECTS = 10;

export const isUrl = (source: string): boolean => /^https?:\/\//i.test(source);

interface Options {
  readonly buildFolder: string;
  readonly signal: AbortSignal;
  /** Those that authenticate are HTTP_AUTH_HEADER_HOST and HTTP_AUTH_TOKEN_HOST, as in BuildKit. */
  readonly secrets: BuildRequest['secrets'];
  /** `sha256:<hex>` of ADD --checksum, which is compared before anything is kept. */
  readonly checksum?: string | undefined;
}

/**
 * Fetches a URL, or only asks whether what an earlier build fetched is still the newest. Throws StepFault, BUILD_FAILED.
 */
export const downloadUrl = async (url: string, options: Options): Promise<Download> => {
  const store = new DownloadStore(options.buildFolder);
  const { EnvHttpProxyAgent } = await import('../../registry/transport/undici.ts');
  const trusted = trustedAuthorities(process.env);
  const tls = trusted && { ca: trusted };
  const agent = new EnvHttpProxyAgent(tls && { connect: tls, requestTls: tls, proxyTls: tls });
  try {
    return await fetchWith(agent, store, url, options);
  } catch (error) {
    const known = diskError(error, options.buildFolder);
    if (known instanceof StepFault || known instanceof HyprError || options.signal.aborted) {
      throw known;
    }
    throw new StepFault(`${shown(url)} cannot be fetched: ${messageOf(error)}`);
  } finally {
    await agent.close();
  }
};

const fetchWith = async (agent: Dispatcher, store: DownloadStore, url: string, options: Options): Promise<Download> => {
  const { signal, checksum } = options;
  const known = await store.find(url);
  let file = known?.file;
  try {
    const authorization = await authorizationFor(new URL(url), options.secrets);
    const response = await follow(url, { agent, known: known?.remembered, authorization, signal });
    if (response.statusCode === 304 && known !== undefined) {
      await response.body.dump();
      verifyChecksum(checksum, known.remembered.digest, url);
      return describe(url, known.file, known.remembered);
    }
    await (file && rm(file, { force: true }));
    await requireFound(response, url);
    const received = await store.receive(response.body, signal);
    file = received.file;
    verifyChecksum(checksum, received.digest, url);
    const remembered = remember(received, response.headers);
    await store.keep(url, file, remembered);
    return describe(url, file, remembered);
  } catch (error) {
    await (file && rm(file, { force: true }));
    throw error;
  }
};

const requireFound = async (response: Dispatcher.ResponseData, url: string): Promise<void> => {
  if (response.statusCode !== 200) {
    await response.body.dump();
    const hint = `for a private server: --secret id=HTTP_AUTH_TOKEN_${new URL(url).hostname},env=…`;
    throw new StepFault(`${shown(url)}: the server answered with status ${response.statusCode}`, {
      ...([401, 403, 404].includes(response.statusCode) ? { hint } : {}),
    });
  }
};

const remember = (
  { digest, size }: { readonly digest: string; readonly size: number },
  { etag, 'last-modified': lastModified }: Dispatcher.ResponseData['headers'],
): Remembered => ({
  digest,
  size,
  mtime: Math.max(0, Math.floor((Date.parse(String(lastModified)) || 0) / 1000)),
  ...(typeof etag === 'string' ? { etag } : {}),
  ...(typeof lastModified === 'string' ? { lastModified } : {}),
});

/** `sha256:<hex>` of ADD --checksum against what came. Throws StepFault. */
const verifyChecksum = (checksum: string | undefined, digest: string, url: string): void => {
  if (!checksum) {
    return;
  }
  const match = /^([a-z0-9]+):([0-9a-f]+)$/.exec(checksum);
  if (match === null || match[1] !== 'sha256') {
    throw new StepFault(match ? `unsupported digest algorithm in --checksum: ${match[1]}` : `invalid checksum digest format: ${checksum}`);
  }
  if (match[2]?.length !== 64) {
    throw new StepFault(`invalid checksum digest length: ${checksum}`);
  }
  if (match[2] !== digest) {
    throw new StepFault(`digest mismatch sha256:${digest}: ${checksum}`, { details: [`of ${shown(url)}`] });
  }
};

const describe = (url: string, file: string, { digest, size, mtime }: Remembered): Download => {
  const name = new URL(url).pathname.replace(/\/+$/, '').split('/').at(-1) ?? '';
  return { file, digest, size, mtime, name: decodeName(name), release: () => rm(file, { force: true }) };
};

const decodeName = (name: string): string => {
  try {
    return decodeURIComponent(name).replaceAll('/', '_');
  } catch {
    return name;
  }
};

/** Without user name, password and query, which may be secrets. */
const shown = (url: string): string => {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
};

const follow = async (
  url: string,
  options: { agent: Dispatcher; known: Remembered | undefined; authorization: string | undefined; signal: AbortSignal },
): Promise<Dispatcher.ResponseData> => {
  const { request } = await import('../../registry/transport/undici.ts');
  const first = new URL(url);
  let target = first;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const { etag, lastModified } = options.known ?? {};
    const response = await request(target, {
      dispatcher: options.agent,
      signal: options.signal,
      headers: {
        'user-agent': 'hypr',
        ...(options.authorization !== undefined && isSameServer(first, target) ? { authorization: options.authorization } : {}),
        ...(etag ? { 'if-none-match': etag } : {}),
        ...(lastModified && !etag ? { 'if-modified-since': lastModified } : {}),
      },
    });
    const location = response.headers.location;
    if (response.statusCode < 300 || response.statusCode >= 400 || typeof location !== 'string') {
      return response;
    }
    await response.body.dump();
    target = new URL(location, target);
    if (target.protocol !== 'http:' && target.protocol !== 'https:') {
      throw new StepFault(`${shown(url)} leads to ${target.protocol}, which is not followed`);
    }
  }
  throw new StepFault(`${shown(url)}: too many redirects`);
};

/** The token wins over the header, as in BuildKit, and both over what the URL holds. Ports are not in the names of secrets. */
const authorizationFor = async (url: URL, secrets: Options['secrets']): Promise<string | undefined> => {
  const { username, password } = url;
  const hostname = url.hostname.replace(/^\[|\]$/g, '');
  const token = await readSecretLine(secrets, `HTTP_AUTH_TOKEN_${hostname}`);
  if (token !== undefined) {
    return `Bearer ${token}`;
  }
  const own = username === '' ? undefined : `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const basic = own === undefined ? undefined : `Basic ${Buffer.from(own).toString('base64')}`;
  return (await readSecretLine(secrets, `HTTP_AUTH_HEADER_${hostname}`)) ?? basic;
};
